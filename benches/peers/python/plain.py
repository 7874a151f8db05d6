"""The loop that most begin with: take a text, score it, send the answer; offsets are committed in the background.

    plain.py BOOTSTRAP GROUP INPUT OUTPUT MODEL_FOLDER TEXTS

TEXTS are taken at a time: 1, or as many as make a batch.
"""

import json
import sys

from confluent_kafka import Consumer, Producer

from model import TextModel, scored


def main(bootstrap, group, topic, output, folder, texts):
    model = TextModel(folder)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                         "session.timeout.ms": 10_000})
    producer = Producer({"bootstrap.servers": bootstrap})
    consumer.subscribe([topic])
    while True:
        messages = [message for message in consumer.consume(int(texts), 0.1) if not failed(message)]
        if not messages:
            continue
        payloads = [json.loads(message.value()) for message in messages]
        answers = model.predict(model.encode([payload["text"] for payload in payloads]))
        for message, payload, answer in zip(messages, payloads, answers):
            producer.produce(output, scored(payload, answer), key=message.key())
            producer.poll(0)


def failed(message):
    if message.error():
        print(message.error(), file=sys.stderr)
    return message.error()


if __name__ == "__main__":
    main(*sys.argv[1:])
