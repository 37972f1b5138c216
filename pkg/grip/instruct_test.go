package grip

import (
	"errors"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// header makes a header of "Name: value" lines.
func header(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		h.Add(name, strings.TrimSpace(value))
	}
	return h
}

func mustHeader(t testing.TB, lines ...string) *Instruct {
	t.Helper()
	in, err := ParseHeader(200, "OK", header(lines...))
	if err != nil {
		t.Fatalf("ParseHeader(%q) = %v", lines, err)
	}
	return in
}

// normalize makes what is empty nil.
func normalize(in *Instruct) {
	if len(in.Response.Fields) == 0 {
		in.Response.Fields = nil
	}
	if len(in.Response.Body) == 0 {
		in.Response.Body = nil
	}
}

// wantText checks that err is an *Error with the text, and that the text is a clean line.
func wantText(t testing.TB, what string, err error, want string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Text != want {
		t.Errorf("%s = %v, want the text %q", what, err, want)
		return
	}
	if !validText(e.Text) || len(e.Error()) > 1024 {
		t.Errorf("%s: error %q", what, e.Error())
	}
}

func TestParseHeader(t *testing.T) {
	plain := func(change func(in *Instruct)) *Instruct {
		in := &Instruct{Timeout: 55 * time.Second, Response: Response{Status: 200, Reason: "OK"}}
		change(in)
		return in
	}
	for _, tt := range []struct {
		lines string
		want  *Instruct
	}{
		{"Grip-Channel: a", plain(func(in *Instruct) { in.Channels = []Channel{{Name: "a"}} })},
		{"Grip-Hold: response|Grip-Channel: t3; prev-id=5|Grip-Timeout: 30", plain(func(in *Instruct) {
			in.Hold, in.Timeout = ResponseHold, 30*time.Second
			in.Channels = []Channel{{Name: "t3", PrevID: "5"}}
		})},
		// the set-up of the published million: stream.php
		{`Content-Type: text/event-stream|Grip-Hold: stream|Grip-Channel: news|Grip-Keep-Alive: :\n\n; format=cstring; timeout=55`, plain(func(in *Instruct) {
			in.Hold = StreamHold
			in.Channels = []Channel{{Name: "news"}}
			in.KeepAlive = KeepAlive{[]byte(":\n\n"), Idle, 55 * time.Second}
			in.Response.Fields = []Field{{"Content-Type", "text/event-stream"}}
		})},
		{`Grip-Channel: a; filter=skip-self; filter=var-subst, b; Prev-Id="x;\"y"|Grip-Channel: c;filter=nonsense;FILTER=skip-users`, plain(func(in *Instruct) {
			in.Channels = []Channel{{Name: "a", Filters: SkipSelf | VarSubst}, {Name: "b", PrevID: `x;"y`}, {Name: "c"}}
		})},
		{"Grip-Channel: a;prev-id=1,, b, a;prev-id=2 ,|Grip-Channel:", plain(func(in *Instruct) {
			in.Channels = []Channel{{Name: "a", PrevID: "2"}, {Name: "b"}}
		})},
		{`Grip-Channel: a, b; prev-id="open|Grip-Set-Meta: x="open|Grip-Keep-Alive: k; format="base64`, plain(func(in *Instruct) {
			in.Channels = []Channel{{Name: "a"}}
		})},
		{"Grip-Timeout: 0", plain(func(in *Instruct) { in.Timeout = 5 * time.Second })},
		{"Grip-Timeout: 2147483647", plain(func(in *Instruct) { in.Timeout = MaxTimeout })},
		{"Grip-Timeout: 7|Grip-Timeout: x", plain(func(in *Instruct) { in.Timeout = 7 * time.Second })},
		{`Grip-Set-Meta: user=al, team="a, \"b\"";x=1|Grip-Set-Meta: flag|Grip-Set-Meta: user=bo`, plain(func(in *Instruct) {
			in.Meta = map[string]string{"user": "bo", "team": `a, "b"`, "flag": ""}
		})},
		{"Grip-Status: 204 Nothing", plain(func(in *Instruct) { in.Response.Status, in.Response.Reason = 204, "Nothing" })},
		{"Grip-Status: 404", plain(func(in *Instruct) { in.Response.Status, in.Response.Reason = 404, "" })},
		{"Grip-Status:", plain(func(*Instruct) {})},
		{"Grip-Expose-Headers: x-a, X-Gone ,x-a|Grip-Channel: c|X-A: 1|X-A: 2|X-B: 3|Content-Length: 5", plain(func(in *Instruct) {
			in.Channels = []Channel{{Name: "c"}}
			in.Expose = []string{"X-A", "X-Gone"}
			in.Response.Fields = []Field{{"X-A", "1"}, {"X-A", "2"}}
		})},
		{"Grip-Expose-Headers: ,|X-A: 1", plain(func(in *Instruct) { in.Response.Fields = []Field{{"X-A", "1"}} })},
		{"Grip-Foo: 1|Grip-Last: a; last-id=1|X-B: 2|Connection: X-C|X-C: 3|Set-Cookie: b|Set-Cookie: a|Transfer-Encoding: chunked", plain(func(in *Instruct) {
			in.Response.Fields = []Field{{"Set-Cookie", "b"}, {"Set-Cookie", "a"}, {"X-B", "2"}}
		})},
		{"Grip-Keep-Alive: a; mode=interval; timeout=0", plain(func(in *Instruct) {
			in.KeepAlive = KeepAlive{[]byte("a"), Interval, time.Second}
		})},
		{"Grip-Keep-Alive: fg==; FORMAT=base64; mode=idle", plain(func(in *Instruct) {
			in.KeepAlive = KeepAlive{[]byte("~"), Idle, 55 * time.Second}
		})},
		{`Grip-Keep-Alive: a\\b\r\n\x3b\x00\q; format=cstring`, plain(func(in *Instruct) {
			in.KeepAlive = KeepAlive{[]byte("a\\b\r\n;\x00"), Idle, 55 * time.Second}
		})},
		{`Grip-Keep-Alive: a\n; format=raw`, plain(func(in *Instruct) {
			in.KeepAlive = KeepAlive{[]byte(`a\n`), Idle, 55 * time.Second}
		})},
		{"Content-Encoding: Identity|Grip-Channel: c", plain(func(in *Instruct) {
			in.Channels = []Channel{{Name: "c"}}
			in.Response.Fields = []Field{{"Content-Encoding", "Identity"}}
		})},
	} {
		h := header(strings.Split(tt.lines, "|")...)
		before := maps.Clone(h)
		got, err := ParseHeader(200, "OK", h)
		if err == nil {
			normalize(got)
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ParseHeader(%s)\n got %+v, %v\nwant %+v", tt.lines, got, err, tt.want)
		}
		if !reflect.DeepEqual(h, before) {
			t.Errorf("ParseHeader(%s) changed the header to %v", tt.lines, h)
		}
	}
}

func TestBadHeader(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, tt := range []struct{ line, text string }{
		{"Grip-Hold: Response", "Grip-Hold must be set to either 'response' or 'stream'"},
		{"Grip-Hold:", "Grip-Hold must be set to either 'response' or 'stream'"},
		{"Grip-Channel: a" + strings.Repeat("; filter=x", 6), "too many filters for channel 'a'"},
		{"Grip-Channel: a\tb" + strings.Repeat("; filter=x", 6), `too many filters for channel 'a\tb'`},
		{"Grip-Channel: ; prev-id=1", "failed to parse Grip-Channel: the name is empty"},
		{"Grip-Channel: " + long, "failed to parse Grip-Channel: the name is longer than 255 bytes"},
		{"Grip-Channel: a\tb", "failed to parse Grip-Channel: the name contains a control character"},
		{"Grip-Channel: a\u0085b", "failed to parse Grip-Channel: the name contains a control character"},
		{"Grip-Channel: \xff", "failed to parse Grip-Channel: the name is not valid UTF-8"},
		{"Grip-Channel: a; prev-id=1\r\nX: 2", "failed to parse Grip-Channel: prev-id contains a control character or is not valid UTF-8"},
		{"Grip-Channel: a; prev-id=" + strings.Repeat(long, 4), "failed to parse Grip-Channel: prev-id is longer than 1024 bytes"},
		{"Grip-Timeout: 1s", "failed to parse Grip-Timeout"},
		{"Grip-Timeout:", "failed to parse Grip-Timeout"},
		{"Grip-Timeout: 2147483648", "failed to parse Grip-Timeout"},
		{"Grip-Timeout: 1e3", "failed to parse Grip-Timeout"},
		{"Grip-Timeout: -1", "Grip-Timeout has invalid value"},
		{"Grip-Keep-Alive: ; timeout=5", "Grip-Keep-Alive cannot be empty"},
		{"Grip-Keep-Alive: a; mode=foo", "no such Grip-Keep-Alive mode 'foo'"},
		{"Grip-Keep-Alive: a; mode=\x01" + long, `no such Grip-Keep-Alive mode '\x01` + long[:63] + `...'`},
		{"Grip-Keep-Alive: a; format=foo", "no such Grip-Keep-Alive format 'foo'"},
		{"Grip-Keep-Alive: a; timeout=x", "failed to parse Grip-Keep-Alive timeout value"},
		{"Grip-Keep-Alive: a; timeout", "failed to parse Grip-Keep-Alive timeout value"},
		{"Grip-Keep-Alive: a; timeout=-1", "Grip-Keep-Alive timeout has invalid value"},
		{`Grip-Keep-Alive: a\; format=cstring`, "failed to parse Grip-Keep-Alive cstring format"},
		{`Grip-Keep-Alive: \x4; format=cstring`, "failed to parse Grip-Keep-Alive cstring format"},
		{`Grip-Keep-Alive: \x4g; format=cstring`, "failed to parse Grip-Keep-Alive cstring format"},
		{`Grip-Keep-Alive: \x; format=cstring`, "failed to parse Grip-Keep-Alive cstring format"},
		{`Grip-Keep-Alive: \q; format=cstring`, "failed to parse Grip-Keep-Alive cstring format"},
		{"Grip-Keep-Alive: a*; format=base64", "failed to parse Grip-Keep-Alive base64 format"},
		{"Grip-Keep-Alive: " + strings.Repeat("k", 4097), "Grip-Keep-Alive is longer than 4096 bytes"},
		{"Grip-Set-Meta: a=1,,b=2", "Grip-Set-Meta cannot be empty"},
		{"Grip-Set-Meta: =1", "Grip-Set-Meta cannot be empty"},
		{"Grip-Set-Meta: a=b\nc", "Grip-Set-Meta contains a control character or is not valid UTF-8"},
		{"Grip-Set-Meta: a\x00=b", "Grip-Set-Meta contains a control character or is not valid UTF-8"},
		{"Grip-Set-Meta: a=\"b\\\rc\"", "Grip-Set-Meta contains a control character or is not valid UTF-8"},
		{"Grip-Set-Meta: a=\xff", "Grip-Set-Meta contains a control character or is not valid UTF-8"},
		{"Grip-Set-Meta: a=" + strings.Repeat("m", 4096), "Grip-Set-Meta is longer than 4096 bytes"},
		{"Grip-Status: OK", "Grip-Status contains invalid status code"},
		{"Grip-Status: 1000", "Grip-Status contains invalid status code"},
		{"Grip-Status: 600", "Grip-Status contains invalid status code"},
		{"Grip-Status: 199", "Grip-Status contains invalid status code"},
		{"Grip-Status: -200", "Grip-Status contains invalid status code"},
		{"Grip-Status: 200 a\r\nX-Evil: 1", "Grip-Status contains invalid reason"},
		{"Grip-Status: 200 a\x00", "Grip-Status contains invalid reason"},
		{"Grip-Status: 200 " + strings.Repeat(long, 4), "Grip-Status contains invalid reason"},
		{"Grip-Link: /next; rel=next", "failed to parse Grip-Link value"},
		{"Grip-Link: <>; rel=next", "failed to parse Grip-Link value"},
		{"X-A: a\r\nb", "response header 'X-A' contains a control character"},
		{"X A: a", "response has invalid header name"},
		{"Content-Type: application/grip-instruct|Content-Encoding: gzip", "application/grip-instruct content must not have a Content-Encoding"},
	} {
		in, err := ParseHeader(200, "OK", header(strings.Split(tt.line, "|")...))
		wantText(t, "ParseHeader("+tt.line+")", err, tt.text)
		if in != nil {
			t.Errorf("ParseHeader(%q) = %+v beside an error", tt.line, in)
		}
	}
}

func TestBadStatusLine(t *testing.T) {
	json := header("Content-Type: application/grip-instruct")
	_, err := ParseHeader(201, "Created", json)
	wantText(t, "JSON form with 201", err, "response code for application/grip-instruct content must be 200")
	_, err = ParseHeader(199, "", header("Grip-Channel: a"))
	wantText(t, "status 199", err, "response has invalid status code")
	_, err = ParseHeader(200, "a\rb", header("Grip-Channel: a"))
	wantText(t, "reason with CR", err, "response has invalid reason")
	in, err := ParseHeader(404, "Gone Fishing", header("Grip-Hold: response"))
	if err != nil || in.Response.Status != 404 || in.Response.Reason != "Gone Fishing" {
		t.Errorf("a held 404 = %+v, %v", in, err)
	}
}

func TestIsInstruct(t *testing.T) {
	for line, want := range map[string]bool{
		"grip-hold: stream":                                     true,
		"GRIP-anything: ":                                       true,
		"Content-Type: application/grip-instruct":               true,
		"Content-Type: Application/Grip-Instruct ; charset=x":   true,
		"Content-Type: application/grip-instruct+json":          false,
		"Content-Type: text/plain; a=application/grip-instruct": false,
		"Grip: 1":        false,
		"X-Grip-Hold: 1": false,
		"Gripe-Hold: 1":  false,
	} {
		if got := IsInstruct(header(line)); got != want {
			t.Errorf("IsInstruct(%s) = %v, want %v", line, got, want)
		}
	}
}

func TestNotServed(t *testing.T) {
	for _, tt := range []struct{ lines, want string }{
		{"Grip-Hold: stream|Grip-Channel: a; filter=skip-self; filter=skip-users; filter=require-sub; filter=nonsense", ""},
		{"Grip-Hold: response|Grip-Channel: a; prev-id=1", ""},
		{"Grip-Hold: stream|Grip-Channel: a; prev-id=1", "prev-id in a stream hold"},
		{"Grip-Hold: stream|Grip-Channel: a; filter=var-subst; filter=http-check, b; filter=build-id", "filter build-id, var-subst, http-check"},
		{"Grip-Channel: a; filter=var-subst; prev-id=1", ""},
		{"Grip-Channel: a; filter=build-id", "filter build-id"},
		{"Grip-Link: </n>; rel=next; timeout=0", "Grip-Link rel=next"},
		{"Grip-Link: </n>|Grip-Link: </n>; rel=prev|Grip-Link: </n>; rel=gone", ""},
		{"Grip-Hold: stream|Grip-Link: </g>; rel=gone, </n>; rel=\"next\"", "Grip-Link rel=next, Grip-Link rel=gone"},
		{"Grip-Hold: response|Content-Encoding: br, \"q\"", `Content-Encoding br, \"q\" in a hold`},
		{"Grip-Channel: a|Content-Encoding: br", ""},
	} {
		in := mustHeader(t, strings.Split(tt.lines, "|")...)
		if got := in.NotServed(); got != tt.want {
			t.Errorf("%s: NotServed = %q, want %q", tt.lines, got, tt.want)
		}
	}
}

func TestErrorShowsTheValue(t *testing.T) {
	_, err := ParseHeader(200, "", header("Grip-Timeout: soon\x01"))
	if want := `grip: failed to parse Grip-Timeout: "soon\x01"`; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
	if got, want := cut(strings.Repeat("ü", 40)+"x"), strings.Repeat("ü", 32)+"..."; got != want {
		t.Errorf("cut = %q, want %q", got, want)
	}
	if got, want := cut("x"+strings.Repeat("ü", 40)), "x"+strings.Repeat("ü", 31)+"..."; got != want {
		t.Errorf("cut = %q, want %q", got, want)
	}
}
