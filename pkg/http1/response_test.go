package http1

import (
	"fmt"
	"strings"
	"testing"
)

func describeResponse(r *Response) string {
	s := fmt.Sprintf("%d %q minor=%d length=%d chunked=%t keep=%t nobody=%t untilclose=%t",
		r.Status, r.Reason, r.Minor, r.ContentLength, r.Chunked, r.KeepAlive, r.NoBody(), r.UntilClose())
	for _, f := range r.Fields {
		s += fmt.Sprintf(" [%s=%s]", f.Name, f.Value)
	}
	return s
}

var goodResponses = []struct{ head, want string }{
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		`200 "OK" minor=1 length=-1 chunked=true keep=true nobody=false untilclose=false [Transfer-Encoding=chunked]`},
	{"HTTP/1.0 404 Not Found\r\nContent-Length: 9\r\n\r\n",
		`404 "Not Found" minor=0 length=9 chunked=false keep=false nobody=false untilclose=false [Content-Length=9]`},
	{"HTTP/1.1 204 \r\n\r\n", `204 "" minor=1 length=-1 chunked=false keep=true nobody=true untilclose=false`},
	{"HTTP/1.1 503\r\nConnection: close\r\n\r\n",
		`503 "" minor=1 length=-1 chunked=false keep=false nobody=false untilclose=true [Connection=close]`},
	{"HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\n\n",
		`101 "Switching Protocols" minor=1 length=-1 chunked=false keep=true nobody=true untilclose=false [Upgrade=websocket]`},
}

var badResponses = []struct {
	head string
	want *Error
}{
	{"\x15\x03\x01", ErrTLS},
	{"\x16", ErrTLS},
	{"HTTQ", ErrNotHTTP},
	{"\r\n", ErrNotHTTP},
	{"SSH-2.0-x\r\n", ErrNotHTTP},
	{"HTTP/2.0 200 OK\r\n", errVersion},
	{"HTTP/1.1\r\n", errStatusLine},
	{"HTTP/1.1 20\r\n", errStatusLine},
	{"HTTP/1.1 2000\r\n", errStatusLine},
	{"HTTP/1.1 2x0 OK\r\n", errStatusLine},
	{"HTTP/1.1 099 OK\r\n", errStatusLine},
	{"HTTP/1.1  200 OK\r\n", errStatusLine},
	{"HTTP/1,1 200 OK\r\n", errStatusLine},
	{"HTTP/1.1 200 O\x00", errControl},
	{"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n", errFold},
	{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", errCodingLength},
	{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", errLengths},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", errCoding},
	{"HTTP/1.1 200 " + strings.Repeat("a", 8<<10), errHeadTooLarge},
}

func TestParseResponse(t *testing.T) {
	var r Response
	for _, tt := range goodResponses {
		n, err := r.Parse([]byte(tt.head+"body"), 0, Limits{})
		if err != nil || n != len(tt.head) {
			t.Errorf("Parse(%q) = %d, %v, want %d", tt.head, n, err, len(tt.head))
			continue
		}
		if got := describeResponse(&r); got != tt.want {
			t.Errorf("Parse(%q)\n got %s\nwant %s", tt.head, got, tt.want)
		}
	}
	for _, tt := range badResponses {
		if n, err := r.Parse([]byte(tt.head), 0, Limits{}); err != tt.want || n != 0 {
			t.Errorf("Parse(%.80q) = %d, %v, want 0, %v", tt.head, n, err, tt.want)
		}
	}
}

func TestResponseAtEverySplit(t *testing.T) {
	var r Response
	for _, tt := range goodResponses {
		checkSplits(t, &r, []byte(tt.head+"body"), Limits{})
		checkSplits(t, &r, []byte(tt.head), Limits{MaxHead: 40, MaxFields: 1})
	}
	for _, tt := range badResponses {
		checkSplits(t, &r, []byte(tt.head), Limits{})
	}
}
