package http1

import (
	"fmt"
	"strings"
	"testing"
)

// parser is what Request and Response have in common.
type parser interface {
	Parse(b []byte, seen int, lim Limits) (int, error)
}

// feed gives p one byte more with each call until it decides. At is the number of bytes it had then.
func feed(p parser, b []byte, lim Limits) (n, at int, err error) {
	for at = 1; at <= len(b); at++ {
		// A copy of exactly these bytes: a parser that looks further panics.
		if n, err = p.Parse(b[:at:at], at-1, lim); err != ErrShort {
			return n, at, err
		}
	}
	return 0, len(b), ErrShort
}

// feedTwo gives p the first i bytes, and all of them when those do not suffice.
func feedTwo(p parser, b []byte, i int, lim Limits) (n int, err error) {
	if n, err = p.Parse(b[:i:i], 0, lim); err != ErrShort {
		return n, err
	}
	return p.Parse(b, i, lim)
}

// verdict is what a parse came to, in comparable form.
func verdict(p parser, n int, err error) string {
	if err != nil {
		return err.Error()
	}
	if r, ok := p.(*Request); ok {
		return fmt.Sprintf("%d %s", n, describe(r))
	}
	return fmt.Sprintf("%d %s", n, describeResponse(p.(*Response)))
}

// checkSplits reports where feeding b in pieces comes to another verdict than feeding it whole.
func checkSplits(t *testing.T, p parser, b []byte, lim Limits) {
	t.Helper()
	n, err := p.Parse(b, 0, lim)
	whole := verdict(p, n, err)
	n, at, err := feed(p, b, lim)
	if got := verdict(p, n, err); got != whole {
		t.Errorf("%.200q byte by byte\n got %s (after %d bytes)\nwhole %s", b, got, at, whole)
	}
	step := 1 + len(b)/2000
	for i := 0; i <= len(b); i += step {
		n, err := feedTwo(p, b, i, lim)
		if got := verdict(p, n, err); got != whole {
			t.Errorf("%.200q split at %d\n got %s\nwhole %s", b, i, got, whole)
		}
	}
}

func TestRequestAtEverySplit(t *testing.T) {
	var r Request
	for _, tt := range goodHeads {
		checkSplits(t, &r, []byte(tt.head+"body"), Limits{})
	}
	for _, tt := range badHeads {
		checkSplits(t, &r, []byte(tt.head), Limits{})
		checkSplits(t, &r, []byte(tt.head+"\x00\r\n\r\n"), Limits{})
	}
	checkSplits(t, &r, []byte(browserHead), Limits{})
	for _, lim := range []Limits{{MaxHead: 20}, {MaxHead: 300}, {MaxTarget: 8}, {MaxFields: 3}} {
		checkSplits(t, &r, []byte(browserHead), lim)
		checkSplits(t, &r, []byte("\r\nGET /aaaaaaa\x7fbbbb"), lim)
		checkSplits(t, &r, []byte("GET /aaaaa#aaaaaaa HTTP/1.1\r\n \x00"), lim)
	}
}

func TestIncompleteRequestIsShort(t *testing.T) {
	var r Request
	for _, head := range []string{curlHead, browserHead, "\r\n" + curlHead} {
		for i := range len(head) {
			if _, err := r.Parse([]byte(head[:i]), 0, Limits{}); err != ErrShort {
				t.Errorf("Parse of the first %d bytes of %.30q: %v, want ErrShort", i, head, err)
			}
		}
	}
}

func TestBadRequestIsRefusedEarly(t *testing.T) {
	tests := []struct {
		head string
		at   int // bytes after which the refusal must come
		want *Error
	}{
		{"\x16\x03\x01\x00\xa5\x01\x00\x00", 1, ErrTLS},
		{"\x00\x01\x02\x03", 1, ErrNotHTTP},
		{"SSH\x00", 4, ErrNotHTTP},
		{"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 16, errVersion},
		{"hello\nworld\n\n", 6, errNoTarget},
		{"GET / HTTP/1.1\r\nA b\r\nHost: a\r\n\r\n", 21, errNoColon},
		{"GET /" + strings.Repeat("a", 9000), len("GET ") + 100 + 1, errTargetTooLong},
		{"GET / HTTP/1.1\r\nA: " + strings.Repeat("a", 9000), 8<<10 + 1, errHeadTooLarge},
	}
	for _, tt := range tests {
		var r Request
		if _, at, err := feed(&r, []byte(tt.head), Limits{MaxTarget: 100}); err != tt.want || at != tt.at {
			t.Errorf("feed(%.40q) = %v after %d bytes, want %v after %d", tt.head, err, at, tt.want, tt.at)
		}
	}
}

func TestSeenOutOfRange(t *testing.T) {
	for _, seen := range []int{-5, len(curlHead), len(curlHead) + 100} {
		var r Request
		n, err := r.Parse([]byte(curlHead), seen, Limits{})
		if seen < 0 && (err != nil || n != len(curlHead)) {
			t.Errorf("Parse with seen %d = %d, %v, want %d", seen, n, err, len(curlHead))
		}
		if seen > 0 && err != ErrShort {
			t.Errorf("Parse without new bytes, seen %d: %v, want ErrShort", seen, err)
		}
	}
}
