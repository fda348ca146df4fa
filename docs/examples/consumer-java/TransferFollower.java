import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Follows transfers on Kafka with nothing but kafka-clients: java -cp 'libs/*' TransferFollower.java HOST:PORT [--until-end]
 *
 * <p>Reads the topic from offset zero each time and keeps what it knows in memory. A consumer that keeps it on a disk writes
 * its table and its offsets in one transaction; the Python example beside this one shows how.
 */
public final class TransferFollower {
    private static final String TOPIC = "corridor.transfer.events.v1";
    private static final String NO_HASH = "0".repeat(64); // what the first event of a stream follows

    /** Event type -> the state that a transfer is in after it; a type that is not here changes no state. */
    private static final Map<String, String> STATES = Map.of(
            "corridor.transfer.opened.v1", "AWAITING_FUNDING",
            "corridor.transfer.cancelled.v1", "CANCELLED",
            "corridor.transfer.expired.v1", "EXPIRED",
            "corridor.transfer.funding_confirmed.v1", "FUNDING_CONFIRMED",
            "corridor.transfer.payout_initiated.v1", "PAYOUT_INITIATED",
            "corridor.transfer.payout_review_required.v1", "PAYOUT_REVIEW_REQUIRED",
            "corridor.transfer.payout_completed.v1", "PAYOUT_COMPLETED");

    /** What the headers of a record say; contracts/asyncapi.yaml describes them. */
    record Event(String transferId, long version, String type, String time, String hash, String follows) {}

    /** What we know of a transfer. `held`: why we stopped following it, or null. */
    record Transfer(long version, String hash, String state, String held) {
        static final Transfer NONE = new Transfer(0, NO_HASH, "-", null);
    }

    private final Map<String, Transfer> transfers = new HashMap<>();
    private final Map<String, Integer> counts = new TreeMap<>();

    public static void main(String[] arguments) {
        if (arguments.length == 0) {
            System.err.println("usage: java -cp 'libs/*' TransferFollower.java HOST:PORT [--until-end]");
            System.exit(2);
        }
        TransferFollower follower = new TransferFollower();
        follower.follow(arguments[0], List.of(arguments).contains("--until-end"));
        System.out.println(follower.summary());
        boolean held = follower.transfers.values().stream().anyMatch(each -> each.held != null);
        System.exit(held || follower.counts.containsKey("unreadable") ? 1 : 0);
    }

    /** Without a consumer group: every partition is ours, and a replay is a seek to the beginning. */
    void follow(String bootstrap, boolean untilEnd) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "none");
        settings.put("allow.auto.create.topics", "false");
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = new ArrayList<>();
            consumer.partitionsFor(TOPIC).forEach(each -> partitions.add(new TopicPartition(TOPIC, each.partition())));
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (!(untilEnd && ends.entrySet().stream().allMatch(end -> consumer.position(end.getKey()) >= end.getValue()))) {
                consumer.poll(Duration.ofMillis(500)).forEach(record -> counts.merge(apply(record), 1, Integer::sum));
            }
        }
    }

    /** What became of the record. */
    String apply(ConsumerRecord<String, byte[]> record) {
        Event event;
        try {
            event = read(record);
        } catch (IllegalArgumentException unreadable) {
            System.err.printf("UNREADABLE %s/%d/%d%n", record.topic(), record.partition(), record.offset());
            return "unreadable";
        }
        Transfer known = transfers.getOrDefault(event.transferId, Transfer.NONE);
        if (known.held != null) {
            return "behind a held one";
        }
        if (event.version < known.version || (event.version == known.version && event.hash.equals(known.hash))) {
            return "duplicate";
        }
        String trouble = trouble(known, event);
        if (trouble != null) {
            System.err.printf("HELD %s at v%d: %s%n", event.transferId, known.version, trouble);
            transfers.put(event.transferId, new Transfer(known.version, known.hash, known.state, trouble));
            return "held";
        }
        String state = STATES.getOrDefault(event.type, known.state);
        if (!state.equals(known.state)) {
            System.out.printf("%s %s v%d %s -> %s%n", event.time, event.transferId, event.version, known.state, state);
        }
        transfers.put(event.transferId, new Transfer(event.version, event.hash, state, null));
        return "applied";
    }

    /** Why this event cannot be the next one, or null. It is never skipped: the rest would be guesswork. */
    private static String trouble(Transfer known, Event event) {
        if (event.version > known.version + 1) {
            return "GAP: v" + event.version + " came";
        }
        if (event.version == known.version || !event.follows.equals(known.hash)) {
            return "FORK: another history at v" + event.version;
        }
        return null;
    }

    private static Event read(ConsumerRecord<String, byte[]> record) {
        return new Event(
                text(record, "ce_subject"), Long.parseLong(text(record, "ce_streamversion")), text(record, "ce_type"),
                text(record, "ce_time"), text(record, "ce_hash"), text(record, "ce_prevhash"));
    }

    private static String text(ConsumerRecord<String, byte[]> record, String name) {
        Header header = record.headers().lastHeader(name);
        if (header == null || header.value() == null) {
            throw new IllegalArgumentException(name);
        }
        return new String(header.value(), StandardCharsets.UTF_8);
    }

    /** Transfers by state, then records by what became of them. */
    String summary() {
        Map<String, Integer> states = new TreeMap<>();
        transfers.values().forEach(each -> states.merge(each.state, 1, Integer::sum));
        List<String> parts = new ArrayList<>();
        states.forEach((state, count) -> parts.add(state + " " + count));
        counts.forEach((result, count) -> parts.add(result + " " + count));
        return String.join(" · ", parts);
    }
}
