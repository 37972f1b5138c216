package app

import (
	"holdfast/cmd/internal/golden"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestParseSize(t *testing.T) {
	tests := []struct {
		in   string
		want Size
		text string // what String writes
	}{
		{"0", 0, "0B"},
		{"1000", 1000, "1000B"},
		{"64B", 64, "64B"},
		{"8192", 8192, "8KiB"},
		{"8KiB", 8192, "8KiB"},
		{"8kib", 8192, "8KiB"},
		{"8k", 8192, "8KiB"},
		{" 8 K ", 8192, "8KiB"},
		{"1M", 1 << 20, "1MiB"},
		{"1024KiB", 1 << 20, "1MiB"},
		{"3G", 3 << 30, "3GiB"},
		{"8191MiB", 8191 << 20, "8191MiB"},
		{"9223372036854775807", 1<<63 - 1, "9223372036854775807B"},
	}
	for _, tt := range tests {
		got, err := ParseSize(tt.in)
		if err != nil || got != tt.want || got.String() != tt.text {
			t.Errorf("ParseSize(%q) = %d (%s), %v, want %d (%s)", tt.in, got, got.String(), err, tt.want, tt.text)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("ParseSize(%q) = %d, %v, want %d back", got.String(), again, err, got)
		}
	}
}

func TestParseSizeRefuses(t *testing.T) {
	for _, in := range []string{"", "K", "-1", "1.5MiB", "8KB", "8MB", "8Kb", "1e3", "0x10", "8KiBK", "eight", "9223372036854775808",
		"9007199254740992KiB", "8589934592GiB"} {
		z := Size(7)
		err := z.Set(in)
		if err == nil || !strings.Contains(err.Error(), `"`+in+`"`) {
			t.Errorf("Set(%q) = %v, want an error that names the value", in, err)
		}
		if z != 7 {
			t.Errorf("Set(%q) changed the size to %d", in, z)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"0", "8KiB", "1G", "9223372036854775807", "-3", "8KB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		z, err := ParseSize(s)
		if err != nil {
			return
		}
		if z < 0 {
			t.Fatalf("ParseSize(%q) = %d, want 0 or more", s, z)
		}
		if again, err := ParseSize(z.String()); err != nil || again != z {
			t.Fatalf("ParseSize(%q) = %d, but its text %q reads as %d, %v", s, z, z.String(), again, err)
		}
	})
}

func TestPrintable(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"plain text, Grüße, 日本", "plain text, Grüße, 日本"},
		{"a\x1b[31mred", "a\ufffd[31mred"},
		{"a\r\nb\tc\x7f", "a\ufffd\ufffdb\ufffdc\ufffd"},
		{"c1 \u009b2J", "c1 \ufffd2J"},
		{"bad \xff\xfe", "bad \ufffd\ufffd"},
		{"rtl \u202eabc", "rtl \ufffdabc"},
		{"zero\u200bwidth", "zero\ufffdwidth"},
	}
	for _, tt := range tests {
		if got := Printable(tt.in); got != tt.want {
			t.Errorf("Printable(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestHelpText(t *testing.T) {
	a := testApp(&call{})
	a.UsageText = "apptest [options] CHANNEL [CONTENT]\napptest bench [options]"
	a.Description = "What this is for, in a sentence or two."
	a.Flags = append(a.Flags,
		&cli.StringFlag{Name: "hidden", Hidden: true},
		&cli.StringFlag{Name: "a-very-long-option-name", Usage: "an explanation `THAT` is long enough to be broken over two lines, which happens at a word", Value: "abc"})
	_, stdout, _ := runApp(a, "--help")
	golden.Check(t, "help.txt", stdout)
}
