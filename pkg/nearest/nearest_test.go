package nearest

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	names := []string{"listen", "loops", "max-queued", "max-header", "publish-listen", "n"}
	for word, want := range map[string]string{
		"listen": "listen", "lisen": "listen", "listne": "listen", "max_queued": "max-queued", "max-quuued": "max-queued",
		"publishlisten": "publish-listen", "loop": "loops", "lis": "listen",
		"": "", "x": "", "nn": "", "backend": "", "lines": "", strings.Repeat("l", 1<<20): "",
	} {
		if got := Name(word, names); got != want {
			t.Errorf("Name(%.20q) = %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "abd", 1}, {"abc", "xabc", 1},
		{"kitten", "sitting", 3}, {"ab", "ba", 1}, {"ca", "abc", 3},
	} {
		if got := Distance(tt.a, tt.b); got != tt.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
