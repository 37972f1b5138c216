package sysprep

import (
	"slices"
	"strings"
	"testing"
)

func TestParseSettings(t *testing.T) {
	text := "# a comment\n; another\n\n" +
		"net.core.somaxconn = 4096\r\n" +
		"\tnet/ipv4/tcp_rmem=4096  131072\t6291456\n" +
		"-net.ipv4.tcp_tw_recycle = 1\n" +
		"net.ipv4.conf.*.rp_filter = 2\n" +
		"-net.ipv4.conf.eth0/7.rp_filter\n" +
		"net/ipv4/conf/eth0.7/rp_filter = 1\n" +
		"/fs/file-max = 1\n" +
		"net.ipv4.ip_local_reserved_ports ="
	want := []Setting{
		{Line: 4, Key: "net.core.somaxconn", Value: "4096"},
		{Line: 5, Key: "net.ipv4.tcp_rmem", Value: "4096  131072\t6291456"},
		{Line: 6, Key: "net.ipv4.tcp_tw_recycle", Value: "1", Optional: true},
		{Line: 7, Key: "net.ipv4.conf.*.rp_filter", Value: "2", Glob: true},
		{Line: 8, Key: "net.ipv4.conf.eth0/7.rp_filter", Optional: true, Exclude: true},
		{Line: 9, Key: "net.ipv4.conf.eth0/7.rp_filter", Value: "1"},
		{Line: 10, Key: "fs.file-max", Value: "1"},
		{Line: 11, Key: "net.ipv4.ip_local_reserved_ports"},
	}
	got, bad := parseSettings("f", []byte(text))
	for i := range want {
		want[i].File = "f"
	}
	if !slices.Equal(got, want) || bad != nil {
		t.Errorf("parseSettings = %+v, %v; want %+v", got, bad, want)
	}
}

func TestLinesThatAreNoSettingsAreNamed(t *testing.T) {
	tests := []struct{ line, want string }{
		{"net.core.somaxconn 4096", `f:2: "net.core.somaxconn 4096" is no assignment`},
		{"sysctl -w net.core.somaxconn=4096", `f:2: the key "sysctl -w net.core.somaxconn" has a space in it`},
		{"= 4", "f:2: there is no key before the ="},
		{"-", "f:2: there is no key before the ="},
		{"a..b = 4", `f:2: "a..b" is no key of a kernel setting`},
		{"net/../../etc/passwd = 4", `f:2: "net/../../etc/passwd" is no key of a kernel setting`},
		{"net/./core = 4", `f:2: "net/./core" is no key of a kernel setting`},
		{"net.//.core = 4", `f:2: "net.//.core" is no key of a kernel setting`},
		{".net = 4", `f:2: ".net" is no key of a kernel setting`},
		{"net.[a = 4", `f:2: the pattern "net.[a" does not end`},
		{"\x7fELF\x02\x00", "f:2: not text"},
		{"a = \x1b[2J", "f:2: not text"},
		{"\xef\xbb\xbfa.b = 4", "f:2: not text"},
		{"a.b = \xff", "f:2: not text"},
	}
	for _, tt := range tests {
		got, bad := parseSettings("f", []byte("vm.swappiness = 1\n"+tt.line+"\nvm.max_map_count = 2"))
		if len(bad) != 1 || bad[0].Error() != tt.want {
			t.Errorf("parseSettings(%q): %v, want %s", tt.line, bad, tt.want)
		}
		if len(got) != 2 { // the lines around it count
			t.Errorf("parseSettings(%q) = %+v, want the two lines around it", tt.line, got)
		}
	}
}

func TestSettingMatches(t *testing.T) {
	tests := []struct {
		pattern, key string
		want         bool
	}{
		{"net.core.somaxconn", "net.core.somaxconn", true},
		{"net.core.somaxconn", "net.core.rmem_max", false},
		{"net.core.*_max", "net.core.rmem_max", true},
		{"net.ipv4.*", "net.ipv4.conf.all.rp_filter", false},
		{"net.ipv4.conf.*.rp_filter", "net.ipv4.conf.eth0/7.rp_filter", true},
		{"net/ipv4/conf/*/rp_filter", "net.ipv4.conf.eth0/7.rp_filter", true},
		{"net.ipv4.conf.eth?.rp_filter", "net.ipv4.conf.eth0.rp_filter", true},
	}
	for _, tt := range tests {
		s, bad := parseSettings("f", []byte(tt.pattern+" = 1"))
		if bad != nil {
			t.Fatalf("parseSettings(%q): %v", tt.pattern, bad)
		}
		if got := s[0].matches(tt.key); got != tt.want {
			t.Errorf("%q matches %q: %v, want %v", tt.pattern, tt.key, got, tt.want)
		}
	}
}

func FuzzParseSettings(f *testing.F) {
	for _, s := range []string{"a.b = 1", "-a/b.c=2\r\n", "# c\n;\n-x.*\n", "net/../x=1", "[=]", "\x00", "a.b/c.d = \t1 2"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		settings, bad := parseSettings("f", text)
		lines := strings.Count(string(text), "\n") + 1
		last := 0
		for _, s := range settings {
			if s.Line <= last || s.Line > lines {
				t.Errorf("%q: line %d after line %d of %d", text, s.Line, last, lines)
			}
			last = s.Line
			if again, ok := canonicalKey(s.Key); !ok || again != s.Key {
				t.Errorf("%q: the key %q reads back as %q, %v", text, s.Key, again, ok)
			}
			for part := range strings.SplitSeq(swapSeparators(s.Key), "/") {
				if part == "" || part == "." || part == ".." {
					t.Errorf("%q: the key %q leads out of the settings", text, s.Key)
				}
			}
			if !s.Glob && !s.matches(s.Key) {
				t.Errorf("%q: %q does not match itself", text, s.Key)
			}
		}
		if len(settings)+len(bad) > lines {
			t.Errorf("%q: %d settings and %d errors from %d lines", text, len(settings), len(bad), lines)
		}
	})
}
