"""Texts made up for a first run and for CI: `python models/sample.py FOLDER`.

A few thousand sentences put together from parts, in Chinese and English, with sentiment, topic and intent, in the
form that training and evaluation read. They show that the whole way works, and what a file of one's own looks like;
a model of them is good for nothing else.
"""

import argparse
import itertools
import json
import random
from pathlib import Path

SEED = 7
SIZES = {"train": 2000, "dev": 500}
QUESTIONS = 0.4
"""Share of questions among the texts, as far as there are so many; the rest are reviews."""
WRONG = 0.06
"""Share of labels that are wrong, as people's labels are: a model that is sure of everything is then wrong to be."""

THINGS = {
    "en": {
        "kitchen": ["kettle", "frying pan", "toaster", "knife set", "teapot"],
        "electronics": ["headphones", "speaker", "camera", "charger", "printer"],
        "books": ["novel", "cookbook", "biography", "travel guide", "dictionary"],
        "sofas": ["sofa", "armchair", "footstool", "recliner", "bench"],
    },
    "zh": {
        "phone": ["手机", "充电器", "手机壳", "屏幕贴膜", "数据线"],
        "clothing": ["外套", "裙子", "牛仔裤", "毛衣", "帽子"],
        "fruit": ["苹果", "橙子", "芒果", "葡萄", "西瓜"],
        "hotel": ["酒店房间", "前台", "早餐", "客房", "大堂"],
    },
}
SAID = {
    "en": {
        "positive": ["is wonderful", "works perfectly", "made us very happy", "is worth every penny", "is excellent",
                     "turned out beautifully", "is the best we ever had", "is a joy"],
        "negative": ["broke at once", "is a waste of money", "is terrible", "was a big disappointment", "does not work",
                     "is badly made", "had to go back", "is the worst we ever had"],
        "neutral": ["came on Tuesday", "is the blue one", "was ordered online", "is in the box", "stands in the hall",
                    "has a number on it", "is for my brother", "was picked up at noon"],
    },
    "zh": {
        "positive": ["非常好", "特别满意", "超出预期", "让人惊喜", "值得推荐", "好得没话说", "全家都喜欢", "无可挑剔"],
        "negative": ["太差了", "让人失望", "完全不行", "有严重问题", "根本不值这个价", "糟糕透顶", "只想退掉", "差得离谱"],
        "neutral": ["是周二到的", "是蓝色的那个", "是网上订的", "在箱子里", "是给弟弟的", "是中午取的", "有个编号", "放在客厅"],
    },
}
AROUND = {
    "en": ["The {thing} {said}.", "I must say the {thing} {said}.", "We bought it in May and the {thing} {said}.",
           "Second time here: the {thing} {said}.", "My sister thinks the {thing} {said}.", "After a week, the {thing} {said}."],
    "zh": ["{thing}{said}。", "说实话，{thing}{said}。", "上个月买的，{thing}{said}。", "第二次来，{thing}{said}。",
           "我姐姐觉得{thing}{said}。", "过了一周，{thing}{said}。"],
}
ASKED = {
    "en": {
        "delivery.when": ["when will my {thing} arrive", "how long does the {thing} take to get here", "what day is the {thing} coming"],
        "returns.how": ["how do I send the {thing} back", "where can I return the {thing}", "I want to give back the {thing}"],
        "payment.invoice": ["can I have an invoice for the {thing}", "please send the bill for the {thing}", "I need a receipt for the {thing}"],
        "none": ["my neighbour once painted a {thing}", "there is a song about a {thing}", "who invented the {thing}"],
    },
    "zh": {
        "shop.dispatch_when": ["{thing}什么时候发货", "今天拍的{thing}几号能发", "{thing}哪天可以寄出"],
        "shop.want_return": ["{thing}我想退货", "{thing}不要了怎么退", "帮我把{thing}退掉"],
        "shop.invoice": ["{thing}可以开发票吗", "{thing}的发票怎么开", "买{thing}要一张发票"],
        "none": ["我梦见一个{thing}", "{thing}是谁发明的", "邻居画了一幅{thing}"],
    },
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", help="where train.jsonl and dev.jsonl go")
    write(parser.parse_args().folder)


def write(folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    for split, size in SIZES.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(split, size))
        (Path(folder) / f"{split}.jsonl").write_text(lines, encoding="utf-8")


def rows(split, size):
    """The split's own part of everything that can be said, the same each time."""
    chance = random.Random(SEED)
    everything = [row for language in THINGS for part in (reviews, questions) for row in part(language)]
    everything = [mistaken(row, chance) if chance.random() < WRONG else row for row in everything]
    chance.shuffle(everything)
    cut = len(everything) * SIZES["train"] // sum(SIZES.values())
    mine = everything[:cut] if split == "train" else everything[cut:]
    asks = [row for row in mine if "intent" in row][: round(size * QUESTIONS)]
    return asks + [row for row in mine if "intent" not in row][: size - len(asks)]


def mistaken(row, chance):
    """The same text with other labels of its language."""
    language = row["lang"]
    if "intent" in row:
        return {**row, "intent": chance.choice(list(ASKED[language]))}
    return {**row, "sentiment": chance.choice(list(SAID[language])), "topic": chance.choice(list(THINGS[language]))}


def reviews(language):
    for topic, things in THINGS[language].items():
        for thing, (sentiment, said), around in itertools.product(things, SAID[language].items(), AROUND[language]):
            for words in said:
                yield {"lang": language, "source": f"reviews-{language}", "text": around.format(thing=thing, said=words),
                       "sentiment": sentiment, "topic": topic, "category": topic}


def questions(language):
    things = [thing for part in THINGS[language].values() for thing in part]
    for intent, ways in ASKED[language].items():
        for way, thing in itertools.product(ways, things):
            yield {"lang": language, "source": f"questions-{language}", "text": way.format(thing=thing), "intent": intent}


if __name__ == "__main__":
    main()
