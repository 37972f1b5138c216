package http1

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const curlHead = "GET /events?channel=test HTTP/1.1\r\nHost: 127.0.0.1:7999\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n"

const browserHead = "GET /events?channel=news&channel=sport&token=c29tZSBsb25nIG9wYXF1ZSB0b2tlbg HTTP/1.1\r\n" +
	"Host: push.example.org\r\n" +
	"Connection: keep-alive\r\n" +
	"sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\n" +
	"sec-ch-ua-mobile: ?0\r\n" +
	"sec-ch-ua-platform: \"Linux\"\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
	"Accept: text/event-stream\r\n" +
	"Cache-Control: no-cache\r\n" +
	"Origin: https://www.example.org\r\n" +
	"Sec-Fetch-Site: same-site\r\n" +
	"Sec-Fetch-Mode: cors\r\n" +
	"Sec-Fetch-Dest: empty\r\n" +
	"Referer: https://www.example.org/live/board\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; seen=1\r\n\r\n"

// describe prints everything a Request says, so that two can be compared and read.
func describe(r *Request) string {
	upgrade := ""
	if r.Upgrade {
		upgrade = "some"
	}
	if r.Upgrades("websocket") {
		upgrade = "websocket"
	}
	s := fmt.Sprintf("%s %s path=%s query=%q minor=%d host=%s length=%d chunked=%t keep=%t expect=%t upgrade=%s",
		r.Method, r.Target, r.Path, r.Query, r.Minor, r.Host, r.ContentLength, r.Chunked, r.KeepAlive, r.ExpectContinue, upgrade)
	for _, f := range r.Fields {
		s += fmt.Sprintf(" [%s=%s]", f.Name, f.Value)
	}
	return s
}

// goodHeads are requests that are accepted, with what describe says of them.
var goodHeads = []struct{ rule, head, want string }{
	{"curl", curlHead,
		`GET /events?channel=test path=/events query="channel=test" minor=1 host=127.0.0.1:7999 length=-1 chunked=false keep=true expect=false upgrade= [Host=127.0.0.1:7999] [User-Agent=curl/8.5.0] [Accept=*/*]`},
	{"HTTP/1.0 needs no Host and does not persist", "GET / HTTP/1.0\r\n\r\n",
		`GET / path=/ query="" minor=0 host= length=-1 chunked=false keep=false expect=false upgrade=`},
	{"HTTP/1.0 with keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
		`GET / path=/ query="" minor=0 host= length=-1 chunked=false keep=true expect=false upgrade= [Connection=Keep-Alive]`},
	{"close wins over keep-alive", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: foo , CLOSE\r\n\r\n",
		`GET / path=/ query="" minor=1 host=a length=-1 chunked=false keep=false expect=false upgrade= [Host=a] [Connection=keep-alive] [Connection=foo , CLOSE]`},
	{"a later minor version counts as 1", "GET / HTTP/1.7\r\nHost: a\r\n\r\n",
		`GET / path=/ query="" minor=1 host=a length=-1 chunked=false keep=true expect=false upgrade= [Host=a]`},
	{"bare LF ends a line", "GET /a HTTP/1.1\nHost: a\n\n",
		`GET /a path=/a query="" minor=1 host=a length=-1 chunked=false keep=true expect=false upgrade= [Host=a]`},
	{"bare LF and CR LF mixed", "GET /a HTTP/1.1\nHost: a\r\nX: y\n\r\n",
		`GET /a path=/a query="" minor=1 host=a length=-1 chunked=false keep=true expect=false upgrade= [Host=a] [X=y]`},
	{"empty lines before the request line", "\r\n\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n",
		`GET /a path=/a query="" minor=1 host=a length=-1 chunked=false keep=true expect=false upgrade= [Host=a]`},
	{"white space around values, tabs and other letters in them", "GET /a HTTP/1.1\r\nHost:\t a \t\r\nX:\r\nY:  a\tb \xc3\xbc \r\n\r\n",
		"GET /a path=/a query=\"\" minor=1 host=a length=-1 chunked=false keep=true expect=false upgrade= [Host=a] [X=] [Y=a\tb \xc3\xbc]"},
	{"length", "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0012\r\n\r\n",
		`POST /p path=/p query="" minor=1 host=a length=12 chunked=false keep=true expect=false upgrade= [Host=a] [Content-Length=0012]`},
	{"chunked and expectation", "POST /p HTTP/1.1\r\nhOsT: a\r\ntransfer-encoding: Chunked\r\nEXPECT: 100-Continue\r\n\r\n",
		`POST /p path=/p query="" minor=1 host=a length=-1 chunked=true keep=true expect=true upgrade= [hOsT=a] [transfer-encoding=Chunked] [EXPECT=100-Continue]`},
	{"expectation and upgrade are ignored in HTTP/1.0", "GET / HTTP/1.0\r\nExpect: tea\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		`GET / path=/ query="" minor=0 host= length=-1 chunked=false keep=false expect=false upgrade= [Expect=tea] [Connection=upgrade] [Upgrade=websocket]`},
	{"upgrade", "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
		`GET /ws path=/ws query="" minor=1 host=a length=-1 chunked=false keep=true expect=false upgrade=websocket [Host=a] [Connection=keep-alive, Upgrade] [Upgrade=websocket]`},
	{"upgrade in two fields", "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n\r\n",
		`GET /ws path=/ws query="" minor=1 host=a length=-1 chunked=false keep=true expect=false upgrade=websocket [Host=a] [Connection=upgrade] [Upgrade=h2c] [Upgrade=websocket]`},
	{"upgrade to others", "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade:\r\nUpgrade: h2c\r\n\r\n",
		`GET /ws path=/ws query="" minor=1 host=a length=-1 chunked=false keep=true expect=false upgrade=some [Host=a] [Connection=upgrade] [Upgrade=] [Upgrade=h2c]`},
	{"empty upgrade", "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade:\r\n\r\n",
		`GET /ws path=/ws query="" minor=1 host=a length=-1 chunked=false keep=true expect=false upgrade= [Host=a] [Connection=upgrade] [Upgrade=]`},
	{"upgrade that Connection does not name", "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
		`GET /ws path=/ws query="" minor=1 host=a length=-1 chunked=false keep=true expect=false upgrade= [Host=a] [Upgrade=websocket]`},
	{"absolute-form overrides Host", "GET HTTP://b:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
		`GET HTTP://b:80/x?y path=/x query="y" minor=1 host=b:80 length=-1 chunked=false keep=true expect=false upgrade= [Host=a]`},
	{"absolute-form without a path", "GET https://b?y=/ HTTP/1.1\r\nHost:\r\n\r\n",
		`GET https://b?y=/ path=/ query="y=/" minor=1 host=b length=-1 chunked=false keep=true expect=false upgrade= [Host=]`},
	{"asterisk-form", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		`OPTIONS * path=* query="" minor=1 host=a length=-1 chunked=false keep=true expect=false upgrade= [Host=a]`},
	{"second question mark belongs to the query", "GET /a?b?c HTTP/1.1\r\nHost: a\r\n\r\n",
		`GET /a?b?c path=/a query="b?c" minor=1 host=a length=-1 chunked=false keep=true expect=false upgrade= [Host=a]`},
	{"unescaped bytes in the target", "GET /\xc3\xbc?a=\"{|}\" HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /\xc3\xbc?a=\"{|}\" path=/\xc3\xbc query=\"a=\\\"{|}\\\"\" minor=1 host=a length=-1 chunked=false keep=true expect=false upgrade= [Host=a]"},
	{"IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:7999\r\n\r\n",
		`GET / path=/ query="" minor=1 host=[::1]:7999 length=-1 chunked=false keep=true expect=false upgrade= [Host=[::1]:7999]`},
}

func TestParseRequest(t *testing.T) {
	for _, tt := range goodHeads {
		var r Request
		n, err := r.Parse([]byte(tt.head+"next"), 0, Limits{})
		if err != nil || n != len(tt.head) {
			t.Errorf("%s: Parse(%q) = %d, %v, want %d", tt.rule, tt.head, n, err, len(tt.head))
			continue
		}
		if got := describe(&r); got != tt.want {
			t.Errorf("%s: Parse(%q)\n got %s\nwant %s", tt.rule, tt.head, got, tt.want)
		}
	}
}

// badHeads are requests that are refused. Where head lacks its end, the refusal does not wait for it.
var badHeads = []struct {
	head string
	want *Error
}{
	{"\x16\x03\x01\x02\x00\x01", ErrTLS},
	{"\x16", ErrTLS},
	{"\x00", ErrNotHTTP},
	{"\xff\xfe", ErrNotHTTP},
	{" GET / HTTP/1.1\r\n", ErrNotHTTP},
	{"GE\x00", ErrNotHTTP},
	{"GET\t/", ErrNotHTTP},
	{"{\"a\":1}", ErrNotHTTP},
	{strings.Repeat("A", maxMethod+1), errMethodTooLong},
	{"\r\n\r\n\r\n\r\n\r\n", errEmptyLines},
	{"\n\n\n\n\nGET", errEmptyLines},
	{"\rG", errBareCR},
	{"hello\n", errNoTarget},
	{"GET \r\n", errNoTarget},
	{"GET  / HTTP/1.1\r\n", errNoTarget},
	{"GET /\r\n", errNoVersion},
	{"GET / \r\n", errNoVersion},
	{"GET / http/1.1\r\n", errNoVersion},
	{"GET / HTTP/1\r\n", errNoVersion},
	{"GET / HTTP/1.10\r\n", errNoVersion},
	{"GET / HTTP/1x1\r\n", errNoVersion},
	{"GET / HTTP/1.x\r\n", errNoVersion},
	{"GET /a b HTTP/1.1\r\n", errSpace},
	{"GET / HTTP/1.1 \r\n", errSpace},
	{"GET /a\tb HTTP/1.1\r\n", errTab},
	{"GET / HTTP/2.0\r\n", errVersion},
	{"PRI * HTTP/2.0\r\n", errVersion},
	{"GET / HTTP/0.9\r\n", errVersion},
	{"GET /\x00", errControl},
	{"GET /\x7f", errControl},
	{"GET /a\rb", errBareCR},
	{"GET /a#b HTTP/1.1\r\n", errFragment},
	{"GET a HTTP/1.1\r\n", errTargetForm},
	{"GET ftp://a/ HTTP/1.1\r\n", errTargetForm},
	{"GET http:/a HTTP/1.1\r\n", errTargetForm},
	{"GET https:/a HTTP/1.1\r\n", errTargetForm},
	{"GET http:// HTTP/1.1\r\n", errAuthority},
	{"GET http:///a HTTP/1.1\r\n", errAuthority},
	{"GET http://user@a/ HTTP/1.1\r\n", errAuthority},
	{"GET * HTTP/1.1\r\n", errAsterisk},
	{"CONNECT a:443 HTTP/1.1\r\n", errConnect},

	{"GET / HTTP/1.1\r\n Host: a\r\n", errFold},
	{"GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n", errFold},
	{"GET / HTTP/1.1\r\nHost\r\n", errNoColon},
	{"GET / HTTP/1.1\r\n: a\r\n", errEmptyName},
	{"GET / HTTP/1.1\r\nHost : a\r\n", errNameSpace},
	{"GET / HTTP/1.1\r\nHost\t: a\r\n", errNameSpace},
	{"GET / HTTP/1.1\r\nHo st: a\r\n", errName},
	{"GET / HTTP/1.1\r\nH\xc3\xb6st: a\r\n", errName},
	{"GET / HTTP/1.1\r\nHost: a\x00", errControl},
	{"GET / HTTP/1.1\r\nHost: a\x1b[31m", errControl},
	{"GET / HTTP/1.1\r\nX: a\rb", errBareCR},
	{"GET / HTTP/1.1\r\nX: a\r\r\n", errBareCR},
	{"GET / HTTP/1.1\r\nHost: a\r\n\rX", errBareCR},

	{"GET / HTTP/1.1\r\n\r\n", errNoHost},
	{"GET http://a/ HTTP/1.1\r\n\r\n", errNoHost},
	{"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", errHosts},
	{"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", errHosts},
	{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", errHost},
	{"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", errHost},
	{"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", errHost},
	{"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", errHost},
	{"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", errHost},
	{"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", errHost},
	{"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", errHost},
	{"GET / HTTP/1.1\r\nHost: []\r\n\r\n", errHost},
	{"GET / HTTP/1.1\r\nHost: [::1]80\r\n\r\n", errHost},
	{"GET http://a/ HTTP/1.1\r\nHost: a\\b\r\n\r\n", errHost},

	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", errLengths},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", errLengths},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", errLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", errLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", errLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", errLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 0\r\n\r\n", errLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", errLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", errLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", errLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", errCodingLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", errCodingLength},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", errCodings},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", errChunkedPlace},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", errChunkedPlace},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n", errChunkedPlace},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", errCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", errCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;a=b\r\n\r\n", errCoding},
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chun\xe2\x84\xaaed\r\n\r\n", errCoding}, // Kelvin sign
	{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", errNoCoding},
	{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", errCodingOld},
	{"POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", errExpect},
	{"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 1000) + "\r\n", errTooManyFields},

	{"GET /" + strings.Repeat("a", 8<<10), errTargetTooLong},
	{"\r\nGET /" + strings.Repeat("a", 8<<10), errTargetTooLong},
	{"GET / HTTP/1.1\r\nX: " + strings.Repeat("a", 8<<10), errHeadTooLarge},
	{"GET / " + strings.Repeat("a", 8<<10), errHeadTooLarge},
}

func TestParseRequestRefuses(t *testing.T) {
	for _, tt := range badHeads {
		var r Request
		n, err := r.Parse([]byte(tt.head), 0, Limits{})
		if err != tt.want || n != 0 {
			t.Errorf("Parse(%.80q) = %d, %v, want 0, %v", tt.head, n, err, tt.want)
		}
	}
}

func TestErrorNamesWhatWasWrong(t *testing.T) {
	var r Request
	_, err := r.Parse([]byte("GET /\r\n"), 0, Limits{})
	var e *Error
	if !errors.As(err, &e) || e.Status != 400 || e.Text != "bad request line: no HTTP version" {
		t.Errorf("Parse of a line without version: %#v, want status 400 and the missing version", err)
	}
	if got, want := err.Error(), "http1: bad request line: no HTTP version"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

func TestLimits(t *testing.T) {
	const head = "GET /abc HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
	tests := []struct {
		lim  Limits
		want error
	}{
		{Limits{MaxHead: len(head)}, nil},
		{Limits{MaxHead: len(head) - 1}, errHeadTooLarge},
		{Limits{MaxHead: len("GET /a")}, errTargetTooLong},
		{Limits{MaxTarget: 4}, nil},
		{Limits{MaxTarget: 3}, errTargetTooLong},
		{Limits{}, nil},
		{Limits{MaxFields: 2}, nil},
		{Limits{MaxFields: 1}, errTooManyFields},
		{Limits{MaxHead: 1 << 20, MaxTarget: 1 << 30, MaxFields: 1000}, nil},
	}
	for _, tt := range tests {
		var r Request
		if _, err := r.Parse([]byte(head), 0, tt.lim); err != tt.want {
			t.Errorf("Parse with %+v: %v, want %v", tt.lim, err, tt.want)
		}
		_, _, err := feed(&r, []byte(head), tt.lim)
		if err != tt.want {
			t.Errorf("Parse byte by byte with %+v: %v, want %v", tt.lim, err, tt.want)
		}
	}
}

func TestManyFieldsWithinALargerBound(t *testing.T) {
	head := "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 200) + "\r\n"
	var r Request
	if n, err := r.Parse([]byte(head), 0, Limits{MaxFields: 201}); err != nil || n != len(head) || len(r.Fields) != 201 {
		t.Errorf("Parse of 201 fields = %d, %v with %d fields, want %d and all", n, err, len(r.Fields), len(head))
	}
}

func TestFieldLookup(t *testing.T) {
	var r Request
	if _, err := r.Parse([]byte("GET / HTTP/1.1\r\nHost: a\r\nAccept: x , text/Event-Stream,,y\r\naccept: z\r\n\r\n"), 0, Limits{}); err != nil {
		t.Fatalf("Parse: %v", err)
	}
	if v, ok := r.Field("ACCEPT"); !ok || string(v) != "x , text/Event-Stream,,y" {
		t.Errorf("Field(ACCEPT) = %q, %t, want the first field's value", v, ok)
	}
	if v, ok := r.Field("Accep"); ok {
		t.Errorf("Field(Accep) = %q, true, want none", v)
	}
	for token, want := range map[string]bool{"x": true, "text/event-stream": true, "y": true, "Z": true, "text": false, "xy": false} {
		if got := r.HasToken("Accept", token); got != want {
			t.Errorf("HasToken(Accept, %q) = %t, want %t", token, got, want)
		}
	}
}

func TestRequestIsReusedCleanly(t *testing.T) {
	var r Request
	for _, tt := range goodHeads {
		_, _ = r.Parse([]byte("POST http://z/q?r HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nConnection: upgrade\r\nUpgrade: u\r\n\r\n"), 0, Limits{})
		if _, err := r.Parse([]byte(tt.head), 0, Limits{}); err != nil {
			t.Fatalf("%s: %v", tt.rule, err)
		}
		if got := describe(&r); got != tt.want {
			t.Errorf("%s after another request\n got %s\nwant %s", tt.rule, got, tt.want)
		}
	}
}

// Bytes bound an ordinary head, not the number of its fields.
func TestThousandFields(t *testing.T) {
	head := "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 999) + "\r\n"
	var r Request
	n, err := r.Parse([]byte(head), 0, Limits{})
	if err != nil || n != len(head) || len(r.Fields) != 1000 {
		t.Errorf("Parse = %d, %v with %d fields, want %d, nil with 1000", n, err, len(r.Fields), len(head))
	}
}
