package feed

import (
	"errors"
	"testing"
	"time"
	"unicode/utf8"
)

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		``:                       "",
		`plain`:                  "plain",
		`\a\b\e\f\n\r\t\v`:       "\a\b\x1b\f\n\r\t\v",
		`\\\'\"\?`:               `\'"?`,
		`\0\7\12\101\1011\377`:   "\x00\x07\nAA1\xff",
		`\08`:                    "\x008",
		`\x4\x41\x411\xfF\x0`:    "\x04AA1\xff\x00",
		`\u00fc\u20AC\U0001f600`: "ü€😀",
		`data: a\n\ndata: b\n\n`: "data: a\n\ndata: b\n\n",
		`ü\tü`:                   "ü\tü",
	} {
		if got, err := Unescape(in); err != nil || got != want {
			t.Errorf("Unescape(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestUnescapeRefuses(t *testing.T) {
	for in, want := range map[string]string{
		`abc\`:        `bad escape "\\" at byte 4: nothing follows the backslash`,
		`a\qb`:        `bad escape "\\q" at byte 2: unknown`,
		`\ü`:          `bad escape "\\ü" at byte 1: unknown`,
		`\x`:          `bad escape "\\x" at byte 1: no hexadecimal digit follows`,
		`\n\xg`:       `bad escape "\\x" at byte 3: no hexadecimal digit follows`,
		`\400`:        `bad escape "\\400" at byte 1: octal value above \377`,
		`\u12`:        `bad escape "\\u12" at byte 1: 4 hexadecimal digits must follow`,
		`\U0001f60x`:  `bad escape "\\U0001f60" at byte 1: 8 hexadecimal digits must follow`,
		`\ud800`:      `bad escape "\\ud800" at byte 1: no such Unicode character`,
		`\UffffffffX`: `bad escape "\\Uffffffff" at byte 1: no such Unicode character`,
	} {
		got, err := Unescape(in)
		var bad *EscapeError
		if !errors.As(err, &bad) || err.Error() != want {
			t.Errorf("Unescape(%q) = %q, %v\nwant error %s", in, got, err, want)
		}
	}
}

func FuzzUnescape(f *testing.F) {
	f.Add(`a\n\x41\101\u00fc`)
	f.Fuzz(func(t *testing.T, in string) {
		out, err := Unescape(in)
		var bad *EscapeError
		switch {
		case err == nil && len(out) > len(in):
			t.Errorf("Unescape(%q) = %q, longer than its input", in, out)
		case err == nil:
		case !errors.As(err, &bad):
			t.Errorf("Unescape(%q) = %v, want an *EscapeError", in, err)
		case in[bad.Offset] != '\\' || in[bad.Offset:bad.Offset+len(bad.Sequence)] != bad.Sequence:
			t.Errorf("Unescape(%q) blames %q at %d", in, bad.Sequence, bad.Offset)
		case utf8.ValidString(in) && !utf8.ValidString(bad.Sequence):
			t.Errorf("Unescape(%q) cuts a character: %q", in, bad.Sequence)
		}
	})
}

func TestExpand(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 89_000_001, time.FixedZone("", 3600))
	for in, want := range map[string]string{
		"":                            "",
		"plain":                       "plain",
		"{{now}}":                     "2026-03-04T05:06:07+01:00",
		"{{unixms}} {{unixns}}":       "1772597167089 1772597167089000001",
		"n={{count}}.":                "n=42.",
		"{{count}}{{count}}":          "4242",
		"{{other}} {{ count }} {{}}":  "{{other}} {{ count }} {{}}",
		"{{count":                     "{{count",
		"{{{count}}}":                 "{42}",
		`{"a":{"b":{"c":{{count}}}}}`: `{"a":{"b":{"c":42}}}`,
		"{{a {{count}} b}}":           "{{a 42 b}}",
		"{":                           "{", "{{": "{{", "}}": "}}", "x{{": "x{{",
	} {
		if got := Expand(in, now, 42); got != want {
			t.Errorf("Expand(%q) = %q, want %q", in, got, want)
		}
	}
}
