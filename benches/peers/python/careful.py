"""The loop of somebody who has read the manual: batches of like length, outputs and offsets in one transaction.

    careful.py BOOTSTRAP GROUP INPUT OUTPUT MODEL_FOLDER INSTANCE

One process a core, each with its own INSTANCE, which names its membership and its transactions: one that comes back after
a crash takes its partitions up at once and ends what it had left open.
"""

import json
import sys

from confluent_kafka import Consumer, Producer, TopicPartition

from model import TextModel, scored

# What came together is scored together, in batches that fit the processor's cache.
TEXTS_MAX = 512
TOKENS_MAX = 512
WAIT_S = 0.05


def main(bootstrap, group, topic, output, folder, instance):
    model = TextModel(folder, threads=1)
    # Rebalances are told of within `consume`, so never while a transaction is open.
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False, "isolation.level": "read_committed",
                         "group.instance.id": instance})
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"{group}-{instance}",
                         "transaction.timeout.ms": 10_000})
    producer.init_transactions()
    consumer.subscribe([topic])
    while True:
        messages = consumer.consume(TEXTS_MAX, WAIT_S)
        if messages:
            # What fails ends the process: nothing of the transaction is seen, and all of it is read again.
            transaction(consumer, producer, output, model, messages)


def transaction(consumer, producer, output, model, messages):
    for message in messages:
        if message.error():
            raise RuntimeError(message.error())
    payloads = [json.loads(message.value()) for message in messages]
    answers = score(model, [payload["text"] for payload in payloads])
    producer.begin_transaction()
    for message, payload, answer in zip(messages, payloads, answers):
        producer.produce(output, scored(payload, answer), key=message.key())
    producer.send_offsets_to_transaction(behind(messages), consumer.consumer_group_metadata())
    producer.commit_transaction()


def score(model, texts):
    rows = model.encode(texts)
    answers = [None] * len(rows)
    for batch in batches(rows):
        for place, answer in zip(batch, model.predict([rows[place] for place in batch])):
            answers[place] = answer
    return answers


def batches(rows):
    """Places of rows, sorted by length, as many together as the budget of padded tokens lets there be."""
    batch = []
    for place in sorted(range(len(rows)), key=lambda place: len(rows[place])):
        if batch and len(rows[place]) * (len(batch) + 1) > TOKENS_MAX:
            yield batch
            batch = []
        batch.append(place)
    yield batch


def behind(messages):
    last = {(message.topic(), message.partition()): message.offset() for message in messages}
    return [TopicPartition(topic, partition, offset + 1) for (topic, partition), offset in last.items()]


if __name__ == "__main__":
    main(*sys.argv[1:])
