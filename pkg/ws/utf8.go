package ws

import "unicode/utf8"

// textState says which bytes may continue a text, after a piece of it that may have ended inside a character (Unicode
// 15.0, table 3-7).
type textState uint8

const (
	textWhole  textState = iota // between two characters
	textOne                     // one continuation byte is missing
	textTwo                     // two are missing
	textThree                   // three are missing
	textE0                      // after E0: no overlong form may follow
	textED                      // after ED: no surrogate may follow
	textF0                      // after F0: no overlong form may follow
	textF4                      // after F4: nothing above U+10FFFF may follow
	textBroken                  // nothing makes this UTF-8
)

// step returns the state after c.
func (s textState) step(c byte) textState {
	switch s {
	case textWhole:
		return textBegin(c)
	case textOne, textTwo, textThree:
		return nextIf(c >= 0x80 && c <= 0xbf, s-1)
	case textE0:
		return nextIf(c >= 0xa0 && c <= 0xbf, textOne)
	case textED:
		return nextIf(c >= 0x80 && c <= 0x9f, textOne)
	case textF0:
		return nextIf(c >= 0x90 && c <= 0xbf, textTwo)
	case textF4:
		return nextIf(c >= 0x80 && c <= 0x8f, textTwo)
	}
	return textBroken
}

func nextIf(ok bool, next textState) textState {
	if ok {
		return next
	}
	return textBroken
}

// textBegin returns the state after the first byte of a character.
func textBegin(c byte) textState {
	switch {
	case c < 0x80:
		return textWhole
	case c < 0xc2: // a continuation byte, or an overlong form
		return textBroken
	case c < 0xe0:
		return textOne
	case c == 0xe0:
		return textE0
	case c == 0xed:
		return textED
	case c < 0xf0:
		return textTwo
	case c == 0xf0:
		return textF0
	case c < 0xf4:
		return textThree
	case c == 0xf4:
		return textF4
	}
	return textBroken
}

// take returns the state after b and how many of its bytes were good: all, unless the state is textBroken. End says that
// the text ends with b, which is not empty; then a character that b leaves unfinished makes its last byte a bad one.
func (s textState) take(b []byte, end bool) (good int, next textState) {
	good, next = s.scan(b)
	if end && next != textWhole && next != textBroken {
		return len(b) - 1, textBroken
	}
	return good, next
}

func (s textState) scan(b []byte) (good int, next textState) {
	i := 0
	for ; s != textWhole && i < len(b); i++ {
		if s = s.step(b[i]); s == textBroken {
			return i, s
		}
	}
	if cut := lastCharacter(b[i:]); utf8.Valid(b[i : i+cut]) {
		i += cut
	}
	for ; i < len(b); i++ { // an unfinished character, or where a bad byte is to be found
		if s = s.step(b[i]); s == textBroken {
			return i, s
		}
	}
	return i, s
}

// lastCharacter returns where the unfinished character at the end of b begins, or len(b).
func lastCharacter(b []byte) int {
	for i := len(b) - 1; i >= max(0, len(b)-utf8.UTFMax+1); i-- {
		if !utf8.RuneStart(b[i]) {
			continue
		}
		if utf8.FullRune(b[i:]) {
			break
		}
		return i
	}
	return len(b)
}
