-- What the reads of the books need; services/kernel/migrations/versions/0009_books.py applies it behind blocks.sql.
-- Accounts are listed by kind, in the order of their bytes whatever the database's own order is.

CREATE INDEX account_by_kind ON account (kind, account_id COLLATE "C");
