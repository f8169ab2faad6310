"""How a chat about a picture is written down, as tokens.

The model's own chat template is rendered once, with marks where the texts of a request go. Those
are words, whatever they look like: only what the template and the picture bring is a special token.
"""

import re
from typing import Any

from worker.engines.prompts import Prompt

# One character each, from Unicode's private use area: templates trim and join texts.
SYSTEM_MARK, USER_MARK = "\ue000", "\ue001"
MARKS = re.compile(f"[{SYSTEM_MARK}{USER_MARK}]")
TOLD = {"role": "system", "content": [{"type": "text", "text": SYSTEM_MARK}]}
QUESTION = {"type": "text", "text": USER_MARK}
ONE_WHOLE = {"num_patches": [1], "num_crops": [0]}
"""What image processors say of a picture that was not cut into tiles."""


class ChatText:
    """A processor's chat template, with pictures. ValueError: it has none, or drops a text."""

    def __init__(self, processor: Any) -> None:
        if not processor.chat_template:
            raise ValueError("it has no chat template, so nothing can be asked of it")
        self._processor = processor
        self._tokenizer = processor.tokenizer
        self._special = {
            token.content: number
            for number, token in self._tokenizer.added_tokens_decoder.items()
            if token.special
        }
        longest_first = sorted(self._special, key=len, reverse=True)
        self._specials = f"({'|'.join(map(re.escape, longest_first))})"
        self._pieces = {1: self._rendered(1)}

    def _rendered(self, pictures: int) -> list[str]:
        """The chat with so many pictures: special tokens, and what is between them."""
        processor = self._processor
        asked = {"role": "user", "content": [{"type": "image"}] * pictures + [QUESTION]}
        text = processor.apply_chat_template(
            [TOLD, asked], add_generation_prompt=True, tokenize=False
        )
        if sorted(MARKS.findall(text)) != [SYSTEM_MARK, USER_MARK]:
            raise ValueError("its chat template does not take a system prompt and a question")
        if pictures:
            text = text.replace(processor.image_token, processor.replace_image_token(ONE_WHOLE, 0))
        return re.split(self._specials, text)

    def tokens(self, prompt: Prompt, *, pictures: int = 1) -> list[int]:
        """The ids of the whole chat, up to where the answer begins."""
        if pictures not in self._pieces:
            self._pieces[pictures] = self._rendered(pictures)
        texts = {SYSTEM_MARK: prompt.system, USER_MARK: prompt.user}
        ids: list[int] = []
        for piece in self._pieces[pictures]:
            if piece in self._special:
                ids.append(self._special[piece])
            elif piece:
                words = MARKS.sub(lambda mark: texts[mark[0]], piece)
                ids += self._tokenizer.encode(
                    words, add_special_tokens=False, split_special_tokens=True
                )
        return ids

    def inputs(self, prompt: Prompt, *, pictures: int = 1) -> dict[str, list[int]]:
        """What the network reads of a chat: each as long as its tokens."""
        tokens = self.tokens(prompt, pictures=pictures)
        inputs = {"input_ids": tokens, "attention_mask": [1] * len(tokens)}
        if self._processor.return_mm_token_type_ids:  # it looks at a picture's tokens both ways
            (inputs["token_type_ids"],) = self._processor.create_mm_token_type_ids([tokens])
        return inputs
