"""Words, sentences and parts of speech.

python examples/tag_words.py

Learns tags from ``nltk/brown.zip`` in ``EINKORN_DATA`` (a minute), or from a few sentences written here.
"""

import os
from pathlib import Path

import einkorn.text as et

FEW = [
    "The/DT old/JJ cats/NNS are/VBP sleeping/VBG on/IN their/PRP$ beds/NNS ./.",
    "The/DT cat/NN is/VBZ hungry/JJ ./.",
    "Dogs/NNS run/VBP in/IN the/DT park/NN ./.",
]


def main() -> None:
    text = "Dr. Smith saw the striped bats. They are hanging on their feet, aren't they?"
    for sentence in et.sent_tokenize(text):
        print(et.word_tokenize(sentence, preserve_line=True))
    path = Path(os.environ.get("EINKORN_DATA", "")) / "nltk" / "brown.zip"
    if path.is_file():
        sentences = et.read_brown(path)
        tagger = et.PerceptronTagger().train([s for i, s in enumerate(sentences) if i % 10])
        print(f"{tagger.accuracy(sentences[::10]):.2%} of words of held out sentences")
    else:
        pairs = [[part.rpartition("/")[::2] for part in line.split()] for line in FEW]
        tagger = et.PerceptronTagger().train(pairs)
    words = ["The", "striped", "bats", "are", "hanging", "on", "their", "feet", "for", "best"]
    print(" ".join(f"{word}/{tag}" for word, tag in tagger.tag(words)))
    print([et.porter_stem(word) for word in words])


if __name__ == "__main__":
    main()
