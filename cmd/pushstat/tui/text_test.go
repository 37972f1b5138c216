package tui

import (
	"strings"
	"testing"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

func TestCleanTakesWhatBreaksATerminal(t *testing.T) {
	for _, tt := range []struct{ in, want, ascii string }{
		{"news", "news", "news"},
		{"", "", ""},
		{"a\x1b[2Jb", "a\uFFFD[2Jb", "a?[2Jb"},
		{"a\x00\a\r\n\tb", "a\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDb", "a?????b"},
		{"\u009b2J", "\uFFFD2J", "?2J"}, // the C1 form of CSI
		{"abc\u202edef\u2066ghi\u200f", "abc\uFFFDdef\uFFFDghi\uFFFD", "abc?def?ghi?"},
		{"e\u0301\u0301\u0301\u0301x", "e\u0301x", "ex"},
		{"\u0301\u0302start", "start", "start"},
		{"\u2764\ufe0f", "\u2764", "?"},
		{"日本", "日本", "??"},
		{"bad \xff\xfe utf", "bad \uFFFD\uFFFD utf", "bad ?? utf"},
		{"line\u2028two\u2029", "line\uFFFDtwo\uFFFD", "line?two?"},
	} {
		if got := unicodeGlyphs.clean(tt.in); got != tt.want {
			t.Errorf("clean(%q) = %q, want %q", tt.in, got, tt.want)
		}
		if got := asciiGlyphs.clean(tt.in); got != tt.ascii {
			t.Errorf("ascii: clean(%q) = %q, want %q", tt.in, got, tt.ascii)
		}
	}
}

// FuzzClean holds what is drawn of foreign text to signs that take their cells and nothing else.
func FuzzClean(f *testing.F) {
	f.Add(hostile, 10)
	f.Add("日本語\u0301\u0301", 3)
	f.Add("\x1b]8;;http://x\x1b\\", 1)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = min(max(n, 0), 300)
		for _, g := range []*glyphs{&unicodeGlyphs, &asciiGlyphs} {
			c := g.clean(s)
			for _, r := range c {
				if !unicode.IsPrint(r) && r != unicode.ReplacementChar || g.ascii && r > unicode.MaxASCII {
					t.Fatalf("clean(%q) = %q has %U", s, c, r)
				}
			}
			for _, cut := range []string{g.cut(c, n), g.cutMiddle(c, n)} {
				if w := cellWidth(cut); w > n {
					t.Fatalf("%q cut to %d cells has %d: %q", c, n, w, cut)
				}
				if w := cellWidth(cut); cut == g.cut(c, n) && cellWidth(c) > n && n > 0 && w < n-1 {
					t.Fatalf("%q cut to %d cells has only %d: %q", c, n, w, cut)
				}
				if cellWidth(c) > n && n > 0 && !strings.Contains(cut, g.more) {
					t.Fatalf("%q cut to %d cells does not say so: %q", c, n, cut)
				}
			}
		}
	})
}

func TestCutKeepsCells(t *testing.T) {
	g := &unicodeGlyphs
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{
		{"\uFFFD\u09c8\uFFFDabc", 5, "\uFFFD\u09c8\uFFFDa…"}, {"e\u0301abc", 3, "e\u0301a…"},
		{"abcdef", 6, "abcdef"}, {"abcdef", 5, "abcd…"}, {"abcdef", 1, "…"}, {"abcdef", 0, ""}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"},
	} {
		if got := g.cut(tt.in, tt.n); got != tt.want {
			t.Errorf("cut(%q, %d) = %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
	if got, want := g.cutMiddle("/run/pushd/instance-7/pushd.sock", 17), "/run/pus…shd.sock"; got != want {
		t.Errorf("cutMiddle = %q, want %q", got, want)
	}
}

func TestLineFitMarksWhatItCuts(t *testing.T) {
	l := line{}.add(dim, "abc").add(bad, "def").add(plain, "ghi")
	for n, want := range map[int]string{9: "abcdefghi", 8: "abcdefg…", 6: "abcde…", 3: "ab…", 1: "…", 0: ""} {
		if got := l.fit(&unicodeGlyphs, n).String(); got != want {
			t.Errorf("fit to %d = %q, want %q", n, got, want)
		}
	}
}

func TestLocaleDecidesTheGlyphs(t *testing.T) {
	for _, tt := range []struct {
		env  []string
		want bool
	}{
		{nil, false}, {[]string{"LANG=C.UTF-8"}, true}, {[]string{"LANG=de_DE.utf8"}, true}, {[]string{"LANG=C"}, false},
		{[]string{"LANG=C.UTF-8", "LC_ALL=POSIX"}, false}, {[]string{"LC_ALL=", "LC_CTYPE=en_US.UTF-8", "LANG=C"}, true},
	} {
		if got := utf8Locale(getenvOf(tt.env)); got != tt.want {
			t.Errorf("utf8Locale(%q) = %v, want %v", tt.env, got, tt.want)
		}
	}
}

// TestGlyphsAreOneCell: layouts count on it.
func TestGlyphsAreOneCell(t *testing.T) {
	for _, g := range []*glyphs{&unicodeGlyphs, &asciiGlyphs} {
		for _, s := range append(strings.Split(string(g.levels), ""), g.full, g.empty, g.more, g.down, g.mark, string(g.shade)) {
			if ansi.StringWidthWc(s) != 1 {
				t.Errorf("%q has %d cells, want 1", s, ansi.StringWidthWc(s))
			}
		}
	}
}
