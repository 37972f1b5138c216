package http1

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestWrittenHeadIsReadBack(t *testing.T) {
	b := AppendStatusLine(nil, 200, "")
	b = AppendField(b, "Content-Type", "text/event-stream")
	b = AppendContentLength(b, 42)
	b = append(b, "\r\n"...)
	const want = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 42\r\n\r\n"
	if string(b) != want {
		t.Fatalf("head = %q, want %q", b, want)
	}
	var r Response
	if n, err := r.Parse(b, 0, Limits{}); err != nil || n != len(b) || r.Status != 200 || r.ContentLength != 42 {
		t.Errorf("Parse(%q) = %d, %v, status %d, length %d, want %d, 200, 42", b, n, err, r.Status, r.ContentLength, len(b))
	}
}

func TestAppendStatusLine(t *testing.T) {
	tests := []struct {
		status int
		reason string
		want   string
	}{
		{200, "", "HTTP/1.1 200 OK\r\n"},
		{200, "Fine", "HTTP/1.1 200 Fine\r\n"},
		{599, "", "HTTP/1.1 599 \r\n"},
		{503, "", "HTTP/1.1 503 Service Unavailable\r\n"},
	}
	for _, tt := range tests {
		if got := string(AppendStatusLine(nil, tt.status, tt.reason)); got != tt.want {
			t.Errorf("AppendStatusLine(%d, %q) = %q, want %q", tt.status, tt.reason, got, tt.want)
		}
	}
}

func TestAppendStatusLinePanicsWithoutThreeDigits(t *testing.T) {
	for _, status := range []int{-1, 0, 99, 1000} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("AppendStatusLine(%d) did not panic", status)
				}
			}()
			AppendStatusLine(nil, status, "")
		}()
	}
}

func TestReason(t *testing.T) {
	renamed := map[int]string{ // RFC 9110 and the registry have other names than net/http
		413: "Content Too Large",
		414: "URI Too Long",
		416: "Range Not Satisfiable",
		418: "",
		422: "Unprocessable Content",
	}
	for status := -1; status <= 1000; status++ {
		want := http.StatusText(status)
		if name, ok := renamed[status]; ok {
			want = name
		}
		if got := Reason(status); got != want {
			t.Errorf("Reason(%d) = %q, want %q", status, got, want)
		}
	}
}

func TestAppendDate(t *testing.T) {
	at := time.Date(1994, time.November, 6, 9, 49, 37, 5e8, time.FixedZone("UTC+1", 3600))
	const want = "Sun, 06 Nov 1994 08:49:37 GMT" // the example of RFC 9110 5.6.7
	if got := string(AppendDate(nil, at)); got != want {
		t.Errorf("AppendDate(%v) = %q, want %q", at, got, want)
	}
}

func TestValidField(t *testing.T) {
	for name, want := range map[string]bool{"X-Name": true, "a!#$%&'*+-.^_`|~9": true, "": false, "a b": false, "a:": false, "a\r\n": false, "\xc3\xbc": false, "a\x00": false, "a(": false} {
		if got := ValidFieldName(name); got != want {
			t.Errorf("ValidFieldName(%q) = %t, want %t", name, got, want)
		}
	}
	for value, want := range map[string]bool{"": true, "a b\tc": true, "\xc3\xbc": true, "a\r\nb": false, "a\nb": false, "a\rb": false, "\x00": false, "\x7f": false, "\x1b": false} {
		if got := ValidFieldValue([]byte(value)); got != want {
			t.Errorf("ValidFieldValue(%q) = %t, want %t", value, got, want)
		}
	}
}

func TestIndexControlAtEveryPlace(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			b := []byte(strings.Repeat("\x80", 8) + strings.Repeat("a", 12))
			b[at] = byte(c)
			want := len(b)
			if c < 0x20 || c == 0x7f {
				want = at
			}
			if got := indexControl(b, 0); got != want {
				t.Fatalf("indexControl(%q) = %d, want %d", b, got, want)
			}
		}
	}
}
