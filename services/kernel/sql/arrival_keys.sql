-- The keys of what partners sent, one for each partner and month, apart from the persons': who seals arrivals opens nobody's name.
CREATE TABLE arrival_key (LIKE data_key INCLUDING ALL);

COMMENT ON TABLE arrival_key IS
    'AES-256 keys, one for each partner, month and version. Destroying one makes what came from that partner then unreadable.';
