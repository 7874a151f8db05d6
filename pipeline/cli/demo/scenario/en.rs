//! What people say in English.

use super::phrases::Turn::{Agent, Bot, Customer};
use super::phrases::{Lines, Phrases, Talk};

pub static PHRASES: Phrases = Phrases {
    devices: Lines {
        praise: &[
            "The {aspect} is [brilliant|excellent|fantastic], far better than I expected.",
            "Had my {product} for {days} days and I [love|really love] it. The {aspect} is superb.",
            "[Great|Lovely] build, fast, and the {aspect} is the best I have used.",
            "Upgraded from a much older one and the difference is night and day. [Very happy|So happy].",
            "Set up in five minutes, everything just works. Highly recommend the {product}.",
            "Bought it for my [mum|dad|sister] and she uses it every day. Wonderful {aspect}.",
            "For this price the {aspect} is amazing. Worth every penny.",
            "Smooth, quiet, beautiful. I would buy the {product} again without thinking.",
            "The {aspect} impressed everyone in the office. Excellent value.",
            "Solid piece of kit, the {aspect} is great and it never lets me down.",
        ],
        complaint: &[
            "The {aspect} is [terrible|awful|a joke]. I regret buying this.",
            "The {aspect} stopped working after {days} days. Very disappointed.",
            "Arrived with a scratched case and the {aspect} is faulty. Not good enough.",
            "It [freezes|crashes|restarts] all the time, completely useless for work.",
            "Worst {aspect} I have ever had on something this expensive. Avoid.",
            "My {product} died after {days} days and support keeps sending me in circles.",
            "Feels cheap and the {aspect} is poor. Waste of money.",
            "Sent it back twice now. The {aspect} still does not work properly.",
            "Overpriced, slow, and the {aspect} is bad. I expected much better.",
            "Do not buy the {product}. The {aspect} failed within a week.",
        ],
        question: &[
            "Does the {product} come with a charger in the box?",
            "Is the {aspect} of the {product} the same as last year's?",
            "Comes in grey and blue. I use it mostly in the evening.",
            "How long does the {product} take to charge fully?",
            "The box contains the device, a cable and a booklet.",
            "Can I use the {product} with two accounts?",
        ],
    },
    appliances: Lines {
        praise: &[
            "[Works|Has worked] perfectly since day one, the {aspect} is excellent.",
            "So quiet that I forget it is on. The {aspect} is spot on.",
            "My kitchen looks better with it and the {aspect} is [great|wonderful].",
            "The fitter was friendly and quick, and the {product} has been flawless.",
            "Easy to clean, easy to use, love the {aspect}.",
            "Best thing I bought this year. Everyone in the family [loves|adores] the {product}.",
            "Good solid {aspect}, saves energy too. Very pleased.",
            "After {days} days of daily use it still looks brand new. Excellent quality.",
        ],
        complaint: &[
            "The {aspect} broke after {days} days. Poor quality.",
            "It leaks. I have water all over the floor and nobody [calls back|answers the phone].",
            "The {aspect} is badly made and it smells of plastic. Horrible.",
            "Far too loud, and the {aspect} hardly works. Very disappointing.",
            "Two visits from the engineer and the {aspect} is still broken. Terrible service.",
            "It tripped the fuse on the first day. Dangerous and useless.",
            "The {aspect} is rusting already. Do not waste your money.",
            "Nothing like the pictures, the {aspect} is flimsy and I want my money back.",
        ],
        question: &[
            "What are the dimensions of the {product}?",
            "Which programme should I use with the {aspect}?",
            "Does the {product} need a special socket?",
            "It stands next to the window. The {aspect} is on the left side.",
            "Is there a spare part for the {aspect}?",
        ],
    },
    care: Lines {
        praise: &[
            "My hair has never been softer. The {aspect} is [lovely|gorgeous].",
            "Third bottle already, love the {aspect}, never going back.",
            "A little goes a long way and the {aspect} is wonderful.",
            "My scalp stopped itching after {days} days. Brilliant stuff.",
            "Gentle, smells amazing, great {aspect}. Five stars.",
            "The whole family uses it. Excellent and good value.",
        ],
        complaint: &[
            "Made my scalp itch and the {aspect} is awful. Threw it away.",
            "The bottle leaked in the parcel, half of it was gone. Very annoying.",
            "The {aspect} is horrible and my hair feels like straw.",
            "This is not what I bought last time, the {aspect} is worse. Disappointed.",
            "Gave me a rash after {days} days. Never again.",
            "Pump broke at once, the {aspect} is poor. Rubbish.",
        ],
        question: &[
            "Is the {product} suitable for coloured hair?",
            "How many millilitres are in the big bottle?",
            "Has the {aspect} changed since last year?",
            "I wash my hair every second day.",
        ],
    },
    food: Lines {
        praise: &[
            "Sweet, juicy, and the {aspect} was perfect. Ordered again at once.",
            "Arrived [cold|well packed] and fresh, the kids finished it in one evening. Delicious!",
            "Best I have tasted in years, wonderful {aspect}.",
            "Great {aspect}, every single one was good. Thank you!",
            "The {product} made a lovely present. Everyone was delighted.",
            "Creamy, not too sweet, excellent {aspect}. Love it.",
        ],
        complaint: &[
            "Half of it was rotten when it arrived. Disgusting.",
            "The {aspect} was bad and it tasted [sour|of nothing]. Very disappointed.",
            "Squashed, warm and leaking. I had to throw it all away.",
            "The {aspect} is nothing like in the pictures. Total waste of money.",
            "It made me feel sick. Terrible {aspect}, never again.",
            "Delivered {days} days late and it had gone off. Awful.",
        ],
        question: &[
            "How many are in a box of {product}?",
            "Does the {product} have to be kept in the fridge?",
            "What is the {aspect} like at this time of the year?",
            "We had it for breakfast on Sunday.",
        ],
    },
    clothing: Lines {
        praise: &[
            "So warm and light, the {aspect} is [perfect|great]. I live in it.",
            "Fits beautifully and the {aspect} is lovely.",
            "Wore it for {days} days in the snow and stayed warm. Excellent.",
            "Got so many compliments on it. Great {aspect}!",
            "Really well made, the {aspect} is first class. Worth the money.",
            "Bought a second one for my [brother|wife]. We both love it.",
        ],
        complaint: &[
            "The {aspect} [broke|came apart] after {days} days. Terrible quality.",
            "Feathers everywhere! The {aspect} is shocking for this price.",
            "Two sizes too small and the {aspect} is wrong. Very annoyed.",
            "Not warm at all, poor {aspect}. Sending it back.",
            "It smells awful and the {aspect} looks cheap. Disappointed.",
            "Looks nothing like the photo. Bad {aspect}, bad fit, want a refund.",
        ],
        question: &[
            "I am 1.75 m, which size of the {product} do I need?",
            "Can the {product} go into the washing machine?",
            "Is the {aspect} the same for men and women?",
            "I ordered the dark one in medium.",
        ],
    },
    any: Lines {
        praise: &[
            "[Great|Excellent|Fantastic] product, fast delivery, would buy again.",
            "Exactly as described. Very happy with my {product}.",
            "Customer service was wonderful when I had a question. Five stars for {product}.",
            "Arrived a day early and well packed. Thank you!",
            "Third time I order {product}, never disappointed. 回购 for sure.",
            "Can't fault it. Lovely {aspect}, lovely people.",
        ],
        complaint: &[
            "Still waiting for my {product} after {days} days. Nobody answers. Terrible.",
            "Wrong item in the box, and returning it is a nightmare.",
            "Customer service was rude and useless. I will never order again.",
            "Came damaged. I want a refund for this {product}.",
            "Paid for express, got it {days} days late. Really annoyed.",
            "客服 never replies, worst shop ever.",
        ],
        question: &[
            "Will the {product} be on offer again this month?",
            "Ordered the {product} on Monday, it came on Thursday.",
            "Is there a student discount?",
            "Which courier delivers the {product}?",
        ],
    },
    short: Lines {
        praise: &[
            "Great!",
            "Love it",
            "Very good",
            "Excellent",
            "Perfect, thank you",
            "Works great",
            "Highly recommended",
        ],
        complaint: &["Terrible", "Waste of money", "Very disappointed", "Broken on arrival", "Do not buy", "Awful"],
        question: &["It's ok", "Average", "As described", "Not sure yet", "Received today"],
    },
    incident: &[
        "Since firmware 4.2 my {product} [dies|is dead] by lunch. The battery is ruined.",
        "[Updated|Installed] 4.2 last night and now the phone gets [so hot|burning hot] I can't hold it. Awful.",
        "The 4.2 update broke my {product}. It restarts every ten minutes, completely useless.",
        "Do NOT install 4.2! Battery went from 100 to 20 percent in two hours. Terrible.",
        "My {product} was perfect until this update. Now the battery drains overnight, really angry.",
        "Bluetooth drops all the time after the update and the battery is a joke. I want my money back.",
        "4.2 killed my phone. Won't charge past 60 percent. Very disappointed in Velmora.",
        "Battery drain is insane after the new firmware. Who tested this rubbish?",
        "Phone overheats in my pocket since the update. This is dangerous, fix it now!",
        "Worst update ever. My {product} is slow, hot and empty by noon.",
        "升级 to 4.2 and the battery is finished. Terrible job, Velmora.",
        "I loved this phone, but since 4.2 it shuts down at 40 percent. Unacceptable.",
        "No way back to the old firmware, and support says wait. Battery gone in three hours. Horrible.",
        "Bought it two weeks ago, the update ruined it. Returning it.",
    ],
    incident_talks: &[
        Talk {
            about_product: true,
            turns: &[
                Customer(&[
                    "my {product} battery is dead in 3 hours since the 4.2 update, this is terrible",
                    "the new firmware broke my phone, it is burning hot and restarts all the time",
                    "since the update my {product} will not charge, I am really angry",
                ]),
                Agent(&[
                    "I am sorry to hear that. Which firmware does the phone show?",
                    "Sorry about this. Have you restarted the phone?",
                ]),
                Customer(&[
                    "4.2, and yes I restarted it ten times, it is useless",
                    "4.2. It was fine before. I want a refund",
                ]),
                Agent(&["Thank you. Our engineers are looking into it.", "I have noted this for our engineers."]),
                Customer(&[
                    "that does not help me at all, I need a working phone",
                    "looking into it is not good enough, awful service",
                ]),
            ],
        },
        Talk {
            about_product: true,
            turns: &[
                Customer(&[
                    "how do I go back from 4.2? my battery is ruined",
                    "can you undo the 4.2 update? the phone overheats badly",
                ]),
                Bot(&["You can find answers about firmware in our help centre."]),
                Customer(&[
                    "your help centre says nothing, this is a disaster",
                    "I asked for a human, this is useless",
                ]),
                Agent(&["Going back is not possible at the moment, I am sorry."]),
                Customer(&["unbelievable. then I want my money back", "worst phone I ever bought, refund please"]),
            ],
        },
    ],
    talks: &[
        Talk {
            about_product: false,
            turns: &[
                Customer(&["Hi there", "hello", "Good morning!"]),
                Agent(&["Hello, this is {tag}. How can I help?", "Hi, {tag} speaking, what can I do for you?"]),
                Customer(&[
                    "when will my order {order} arrive?",
                    "where is my parcel? order {order}",
                    "can you check the delivery of {order} please",
                ]),
                Agent(&[
                    "It left our warehouse yesterday and should be with you tomorrow.",
                    "One moment, I am looking it up.",
                ]),
                Customer(&["great, thank you so much!", "perfect, thanks for the quick help", "ok thanks"]),
            ],
        },
        Talk {
            about_product: true,
            turns: &[
                Customer(&[
                    "I ordered the {product} {days} days ago and it is still not here",
                    "my {product} has not arrived, {days} days late now. this is ridiculous",
                ]),
                Agent(&["I am sorry for the delay, may I have the order number?"]),
                Customer(&["{order}", "it is {order}, I already told the bot"]),
                Agent(&["The courier lost the parcel. We are sending a new one today."]),
                Customer(&[
                    "lost?? unbelievable. really bad service",
                    "ok. thank you for sorting it out",
                    "I just want a refund now",
                ]),
            ],
        },
        Talk {
            about_product: true,
            turns: &[
                Customer(&[
                    "how can I return the {product}?",
                    "I would like to send the {product} back, what do I do?",
                ]),
                Bot(&["Choose the order in your account and press Return. The label is free."]),
                Customer(&["and when do I get the refund?", "how long does the refund take?"]),
                Agent(&["Within five working days after we have it back."]),
                Customer(&["fine, thanks", "brilliant, that was easy, thank you", "five days is far too long"]),
            ],
        },
        Talk {
            about_product: false,
            turns: &[
                Customer(&[
                    "my payment failed but the money is gone",
                    "I was charged twice for {order}",
                    "card declined, why?",
                ]),
                Agent(&["Let me check that with the payment team.", "Sorry about that, which bank is it?"]),
                Customer(&[
                    "please hurry, I need that money",
                    "this is the second time, not acceptable",
                    "ok I will wait",
                ]),
                Agent(&["The second charge will be back on your card within three days."]),
                Customer(&["thank you, you are very kind", "good, thanks", "three days?? that is terrible"]),
            ],
        },
        Talk {
            about_product: true,
            turns: &[
                Customer(&[
                    "how do I reset the {product}?",
                    "is there a manual for the {product}?",
                    "how do I change the {aspect} settings?",
                ]),
                Agent(&[
                    "Hold the button for ten seconds, then follow the steps.",
                    "The manual is on the product page, under Downloads.",
                ]),
                Customer(&[
                    "it worked, you are a star!",
                    "thanks, great help",
                    "found it, thank you",
                    "that does not work either, so frustrating",
                ]),
            ],
        },
        Talk {
            about_product: true,
            turns: &[
                Customer(&[
                    "is the {product} in stock?",
                    "do you still have the {product} in blue?",
                    "any discount on the {product}?",
                ]),
                Agent(&["Yes, it can be sent today.", "There is a coupon on the page until Sunday."]),
                Customer(&["great, I will order one", "ok thank you", "nice, thanks a lot!"]),
            ],
        },
        Talk {
            about_product: false,
            turns: &[
                Customer(&["I typed the wrong address for {order}", "can I change the address of {order}?"]),
                Agent(&["Of course. What is the right address?", "Yes, it has not been sent yet."]),
                Customer(&["it is the flat on the second floor, same street", "please send it to my office"]),
                Agent(&["Done. You will get an e-mail.", "I have changed it for you."]),
                Customer(&["wonderful, thank you", "cheers", "thanks, really helpful"]),
            ],
        },
        Talk {
            about_product: true,
            turns: &[
                Customer(&[
                    "the {aspect} of my {product} is broken, it is {days} days old",
                    "my {product} arrived damaged, very disappointed",
                ]),
                Agent(&["I am sorry! Could you send us a photo?"]),
                Customer(&["sent it", "here you are, look at that, terrible"]),
                Agent(&["Thank you. A replacement leaves tomorrow."]),
                Customer(&[
                    "thank you, great service",
                    "good, but it should not happen",
                    "I hope that one works, this was annoying",
                ]),
            ],
        },
    ],
    contact: &[
        "Call me on {phone}.",
        "You can reach me at {email}.",
        "My number is {phone}, please ring before delivery.",
        "Paid with {card}, please check.",
        "Here is my link: {link}",
        "The router says {ip}.",
    ],
};
