package http1

import (
	"errors"
	"slices"
	"testing"
)

func TestNextParam(t *testing.T) {
	tests := []struct {
		query string
		want  []string // keys and values in turn
	}{
		{"channel=a", []string{"channel", "a"}},
		{"channel=a&channel=b%20c&topic", []string{"channel", "a", "channel", "b%20c", "topic", ""}},
		{"&&a=1&&b=2&&", []string{"a", "1", "b", "2"}},
		{"a=b=c&=d", []string{"a", "b=c", "", "d"}},
		{"a=", []string{"a", ""}},
		{"a=1;b=2", []string{"a", "1;b=2"}},
		{"&&", []string{"", ""}},
		{"", nil},
	}
	for _, tt := range tests {
		var got []string
		for q := []byte(tt.query); len(q) > 0; {
			var key, value []byte
			key, value, q = NextParam(q)
			got = append(got, string(key), string(value))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("NextParam over %q = %q, want %q", tt.query, got, tt.want)
		}
	}
}

func TestAppendUnescaped(t *testing.T) {
	tests := []struct {
		in, want string
		at       int // of a bad escape; -1 without
	}{
		{"", "", -1},
		{"abc", "abc", -1},
		{"a+b%20c%2Bd%c3%BC", "a b c+d\xc3\xbc", -1},
		{"%00%ff", "\x00\xff", -1},
		{"%", "", 0},
		{"ab%2", "", 2},
		{"%41%4x", "", 3},
		{"%x4", "", 0},
		{"%%41", "", 0},
	}
	for _, tt := range tests {
		got, err := AppendUnescaped([]byte("pre:"), []byte(tt.in))
		var bad EscapeError
		if tt.at >= 0 {
			if !errors.As(err, &bad) || int(bad) != tt.at || string(got) != "pre:" {
				t.Errorf("AppendUnescaped(pre:, %q) = %q, %v, want pre: and a bad escape at %d", tt.in, got, err, tt.at)
			}
			continue
		}
		if err != nil || string(got) != "pre:"+tt.want {
			t.Errorf("AppendUnescaped(pre:, %q) = %q, %v, want %q", tt.in, got, err, "pre:"+tt.want)
		}
	}
	if got, want := EscapeError(12).Error(), "http1: bad percent-encoding at byte 12"; got != want {
		t.Errorf("EscapeError(12).Error() = %q, want %q", got, want)
	}
}
