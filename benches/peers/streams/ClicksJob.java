import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.function.ToDoubleFunction;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.LogAndContinueExceptionHandler;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * The clicks stage as a Kafka Streams job: clicks in; sessions, features and a purchase probability out, exactly once.
 *
 * <pre>java -cp … ClicksJob BOOTSTRAP APPLICATION INPUT OUTPUT STATE_FOLDER MODEL_FOLDER default|tuned</pre>
 *
 * One processor and four stores with changelogs: users, items, categories, and the partition in all. Clicks are keyed by
 * user, so nothing is repartitioned. Left out of what Groundswell's stage does: profiles, segments, recommendations, dead
 * letters, prices, and forgetting users who stay away.
 */
public final class ClicksJob {
    private static final String SOURCE = "clicks", PROCESSOR = "score", SINK = "scored";
    private static final String USERS = "users", ITEMS = "items", CATEGORIES = "categories", ALL = "all";
    private static final String WHOLE_PARTITION = "";

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[0], application = arguments[1], input = arguments[2], output = arguments[3];
        Path model = Path.of(arguments[5]);
        Properties settings = settings(bootstrap, application, arguments[4], arguments[6].equals("tuned"));
        KafkaStreams streams = new KafkaStreams(topology(input, output, PurchaseModel.load(model)), settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse
                    .SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(20))));
        streams.start();
    }

    private static Properties settings(String bootstrap, String application, String folder, boolean tuned) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, folder);
        // Its commit interval then is 100 ms, its transaction time-out 10 s, and its consumers read what is committed.
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Runtime.getRuntime().availableProcessors());
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.DESERIALIZATION_EXCEPTION_HANDLER_CLASS_CONFIG, LogAndContinueExceptionHandler.class);
        settings.put(StreamsConfig.DEFAULT_TIMESTAMP_EXTRACTOR_CLASS_CONFIG, EventTime.class);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        // Who comes back after a crash takes its partitions up at once, instead of after the session time-out of 45 s.
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG), "a");
        if (tuned) {
            tune(settings);
        }
        return settings;
    }

    /** For throughput: fewer commits, a cache that holds the users who are about, larger requests both ways. */
    private static void tune(Properties settings) {
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
        settings.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 10_000);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5000);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 << 20);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 128L << 20);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
    }

    private static Topology topology(String input, String output, PurchaseModel model) {
        return new Topology()
                .addSource(SOURCE, Serdes.String().deserializer(), Json.CLICK, input)
                .addProcessor(PROCESSOR, () -> new Scorer(model), SOURCE)
                .addStateStore(store(USERS, Serdes.String(), State.USER), PROCESSOR)
                .addStateStore(store(ITEMS, Serdes.Long(), State.ENTITY), PROCESSOR)
                .addStateStore(store(CATEGORIES, Serdes.Long(), State.ENTITY), PROCESSOR)
                .addStateStore(store(ALL, Serdes.String(), State.ENTITY), PROCESSOR)
                .addSink(SINK, output, Serdes.String().serializer(), Json.SCORED, PROCESSOR);
    }

    /** In RocksDB behind Streams' cache, with a changelog. */
    private static <K, V> StoreBuilder<KeyValueStore<K, V>> store(String name, Serde<K> keys, Serde<V> values) {
        return Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(name), keys, values)
                .withCachingEnabled()
                .withLoggingEnabled(Map.of());
    }

    /** What a shop writes; {@code event_time} in milliseconds. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    record Click(String eventId, long eventTime, String user, String item, String category, String action) {
        int code() {
            return switch (action) {
                case "view" -> State.VIEW;
                case "cart" -> State.CART;
                case "favourite" -> State.FAVOURITE;
                case "purchase" -> State.PURCHASE;
                case "impression" -> State.IMPRESSION;
                case "remove" -> State.REMOVE;
                default -> throw new SerializationException("no such action: " + action);
            };
        }
    }

    @JsonInclude(JsonInclude.Include.NON_NULL)
    record Scored(
            String eventId, String eventTime, String scoredTime, String user, String item, String category,
            String action, SessionSoFar session, Double purchaseProbability, Model model, Boolean tooLate,
            Origin origin) {}

    record SessionSoFar(
            String id, int revision, String firstTime, String lastTime, int clicks, int views, int carts,
            int favourites, int purchases, int impressions, int removes, int items, int categories, int cartItems) {}

    record Model(String name) {}

    record Origin(String topic, int partition, long offset) {}

    /** Sessions, features and what the model says of them, click by click. */
    private static final class Scorer implements Processor<String, Click, String, Scored> {
        private static final Model MODEL = new Model("purchase");

        private final PurchaseModel model;
        private PurchaseModel.Asker asker;
        private ProcessorContext<String, Scored> context;
        private KeyValueStore<String, State.User> users;
        private KeyValueStore<Long, State.Entity> items, categories;
        private KeyValueStore<String, State.Entity> all;

        Scorer(PurchaseModel model) {
            this.model = model;
        }

        @Override
        public void init(ProcessorContext<String, Scored> context) {
            this.context = context;
            asker = model.asker();
            users = context.getStateStore(USERS);
            items = context.getStateStore(ITEMS);
            categories = context.getStateStore(CATEGORIES);
            all = context.getStateStore(ALL);
        }

        @Override
        public void close() {
            asker.close();
        }

        @Override
        public void process(Record<String, Click> record) {
            Click click = record.value();
            long atMs = click.eventTime();
            long clockMs = context.currentStreamTimeMs() - State.GRACE_MS;
            Scored scored = atMs < clockMs ? scored(click, null, null, true) : score(click, clockMs);
            context.forward(new Record<>(click.user(), scored, record.timestamp()));
        }

        private Scored score(Click click, long clockMs) {
            long atMs = click.eventTime();
            long itemId = id(click.item()), categoryId = click.category() == null ? 0 : id(click.category());
            State.User user = users.get(click.user());
            user = user == null ? new State.User() : user;
            user.close(clockMs);
            State.Memory.remember(user.items, itemId, click.code(), atMs, State.ITEMS_MAX);
            if (categoryId != 0) {
                State.Memory.remember(user.categories, categoryId, click.code(), atMs, State.CATEGORIES_MAX);
            }
            State.Past past = new State.Past(atMs, click.code(), itemId, categoryId);
            int place = user.place(past, id(click.user() + "\n" + atMs));
            State.Session session = user.sessions.get(place);

            State.Past last = session.clicks.get(session.clicks.size() - 1);
            State.Entity whole = known(all.get(WHOLE_PARTITION));
            State.Entity category = last.category == 0 ? new State.Entity() : known(categories.get(last.category));
            Features features = new Features(user, place, known(items.get(last.item)), category, whole);
            double probability = asker.ask(features);
            SessionSoFar soFar = soFar(session, features);

            List<Long> followed = session.markFollowed();
            users.put(click.user(), user);
            count(click.code(), atMs, itemId, categoryId, followed, whole);
            return scored(click, soFar, probability, null);
        }

        /** Counts the click over all users, and as followed the clicks that it, a purchase, has followed. */
        private void count(int action, long atMs, long itemId, long categoryId, List<Long> followed, State.Entity whole) {
            State.Entity item = known(items.get(itemId));
            item.count(action, atMs);
            items.put(itemId, item);

            Map<Long, Integer> byCategory = new HashMap<>();
            followed.forEach(id -> byCategory.merge(id, 1, Integer::sum));
            byCategory.putIfAbsent(categoryId, 0);
            byCategory.remove(0L);
            byCategory.forEach((id, times) -> {
                State.Entity category = known(categories.get(id));
                category.followed += times;
                if (id == categoryId) {
                    category.count(action, atMs);
                }
                categories.put(id, category);
            });

            whole.count(action, atMs);
            whole.followed += followed.size();
            all.put(WHOLE_PARTITION, whole);
        }

        private Scored scored(Click click, SessionSoFar session, Double probability, Boolean tooLate) {
            RecordMetadata at = context.recordMetadata().orElseThrow();
            return new Scored(
                    click.eventId(), time(click.eventTime()), Instant.now().toString(), click.user(), click.item(),
                    click.category(), click.action(), session, probability, probability == null ? null : MODEL, tooLate,
                    new Origin(at.topic(), at.partition(), at.offset()));
        }

        private static SessionSoFar soFar(State.Session session, Features f) {
            State.Tally tally = f.tally;
            return new SessionSoFar(
                    HexFormat.of().toHexDigits(session.id), session.revision, time(session.firstMs()),
                    time(session.lastMs()), tally.clicks(), tally.views, tally.carts, tally.favourites,
                    tally.purchases, tally.impressions, tally.removes, f.items, f.categories, f.cartItems);
        }

        private static State.Entity known(State.Entity stored) {
            return stored == null ? new State.Entity() : stored;
        }

        private static String time(long ms) {
            return Instant.ofEpochMilli(ms).toString();
        }

        /** A name in 64 bits: FNV-1a, then the last mixing steps of MurmurHash3. Never 0. */
        private static long id(String name) {
            long hash = 0xcbf29ce484222325L;
            for (byte part : name.getBytes(StandardCharsets.UTF_8)) {
                hash = (hash ^ (part & 0xff)) * 0x100000001b3L;
            }
            hash = (hash ^ (hash >>> 33)) * 0xff51afd7ed558ccdL;
            hash = (hash ^ (hash >>> 33)) * 0xc4ceb9fe1a85ec53L;
            hash ^= hash >>> 33;
            return hash == 0 ? 1 : hash;
        }
    }

    /** The model, one session for all threads: it is made to be shared. */
    private static final class PurchaseModel {
        private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
        private final OrtSession session;
        private final String input, output;
        private final List<ToDoubleFunction<Features>> features = new ArrayList<>();

        private PurchaseModel(Path folder) throws IOException, OrtException {
            JsonNode config = Json.MAPPER.readTree(Files.readString(folder.resolve("config.json")));
            input = config.get("input").asText();
            output = config.get("output").asText();
            for (JsonNode name : config.get("features")) {
                ToDoubleFunction<Features> feature = Features.BY_NAME.get(name.asText());
                if (feature == null) {
                    throw new IOException("the model reads a feature that is not computed: " + name.asText());
                }
                features.add(feature);
            }
            OrtSession.SessionOptions options = new OrtSession.SessionOptions();
            // A stream thread a core asks it: more threads of its own would only get in their way.
            options.setIntraOpNumThreads(1);
            options.setInterOpNumThreads(1);
            session = environment.createSession(folder.resolve("model.onnx").toString(), options);
        }

        static PurchaseModel load(Path folder) throws IOException, OrtException {
            return new PurchaseModel(folder);
        }

        Asker asker() {
            return new Asker();
        }

        /** Asks about one row at a time, always from the same memory. */
        private final class Asker {
            private final FloatBuffer row =
                    ByteBuffer.allocateDirect(4 * features.size()).order(ByteOrder.nativeOrder()).asFloatBuffer();
            private final OnnxTensor tensor;
            private final Map<String, OnnxTensor> inputs;

            private Asker() {
                try {
                    tensor = OnnxTensor.createTensor(environment, row, new long[] {1, features.size()});
                } catch (OrtException error) {
                    throw new IllegalStateException(error);
                }
                inputs = Map.of(input, tensor);
            }

            double ask(Features of) {
                for (int i = 0; i < features.size(); i++) {
                    row.put(i, (float) features.get(i).applyAsDouble(of));
                }
                try (OrtSession.Result result = session.run(inputs)) {
                    return ((OnnxTensor) result.get(output).orElseThrow()).getFloatBuffer().get(0);
                } catch (OrtException error) {
                    throw new IllegalStateException(error);
                }
            }

            void close() {
                tensor.close();
            }
        }
    }

    /** The time of the click is the clock that sessions go by. */
    public static final class EventTime implements org.apache.kafka.streams.processor.TimestampExtractor {
        @Override
        public long extract(org.apache.kafka.clients.consumer.ConsumerRecord<Object, Object> record, long streamTimeMs) {
            return ((Click) record.value()).eventTime();
        }
    }

    private static final class Json {
        static final ObjectMapper MAPPER =
                new ObjectMapper().setPropertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE);
        private static final ObjectReader READER = MAPPER.readerFor(Click.class);
        private static final ObjectWriter WRITER = MAPPER.writerFor(Scored.class);

        static final Deserializer<Click> CLICK = (topic, bytes) -> {
            try {
                return READER.readValue(bytes);
            } catch (IOException error) {
                throw new SerializationException(error);
            }
        };
        static final Serializer<Scored> SCORED = (topic, scored) -> {
            try {
                return WRITER.writeValueAsBytes(scored);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        };
    }
}
