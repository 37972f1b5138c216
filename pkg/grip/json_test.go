package grip

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func parseJSON(t testing.TB, body string, lines ...string) (*Instruct, error) {
	t.Helper()
	in := mustHeader(t, append(lines, "Content-Type: application/grip-instruct", "X-Backend: 1")...)
	if !in.JSON || len(in.Response.Fields) > 0 {
		t.Fatalf("ParseHeader of the JSON form = %+v", in)
	}
	return in, in.ParseBody([]byte(body))
}

func mustJSON(t testing.TB, body string, lines ...string) *Instruct {
	t.Helper()
	in, err := parseJSON(t, body, lines...)
	if err != nil {
		t.Fatalf("ParseBody(%s) = %v", body, err)
	}
	return in
}

func TestParseBody(t *testing.T) {
	base := func(change func(in *Instruct)) *Instruct {
		in := &Instruct{JSON: true, Timeout: 55 * time.Second, Response: Response{Status: 200, Reason: "OK"}}
		change(in)
		return in
	}
	for _, tt := range []struct {
		body, lines string
		want        *Instruct
	}{
		{`{}`, "", base(func(*Instruct) {})},
		{`{"hold":null,"response":null,"other":[1]}`, "", base(func(*Instruct) {})},
		// the example of the reference
		{`{"hold": {"mode": "response", "channels": [{"name": "chat", "prev-id": "41", "filters": ["skip-self"]}], "timeout": 30,
			"keep-alive": {"content": "\n", "timeout": 20}, "meta": {"user": "al"}},
			"response": {"code": 200, "reason": "OK", "headers": [["Content-Type","text/plain"]], "body": "text"}}`, "",
			base(func(in *Instruct) {
				in.Hold, in.Timeout = ResponseHold, 30*time.Second
				in.Channels = []Channel{{"chat", "41", SkipSelf}}
				in.KeepAlive = KeepAlive{[]byte("\n"), Interval, 20 * time.Second}
				in.Meta = map[string]string{"user": "al"}
				in.Response.Fields = []Field{{"Content-Type", "text/plain"}}
				in.Response.Body = []byte("text")
			})},
		{`{"hold":{"channels":[]}}`, "", base(func(in *Instruct) { in.Hold = ResponseHold })},
		{"\ufeff" + `{"hold":{"channels":[]}}`, "", base(func(in *Instruct) { in.Hold = ResponseHold })},
		{`{"hold":{"channels":[{"name":"\ud83d\ude00\\ud800"}]}}`, "", base(func(in *Instruct) {
			in.Hold, in.Channels = ResponseHold, []Channel{{Name: "\U0001f600\\ud800"}}
		})},
		{`{"hold":{"mode":"stream","channels":[{"name":"a"}],"timeout":"7"}}`, "Grip-Hold: response|Grip-Channel: b|Grip-Set-Meta: u=1", base(func(in *Instruct) {
			in.Hold, in.Timeout = StreamHold, 7*time.Second
			in.Channels = []Channel{{Name: "b"}, {Name: "a"}}
			in.Meta = map[string]string{"u": "1"}
		})},
		{`{"hold":{"channels":[{"name":"b","filters":["build-id","a","b","c","d","e","f"]},{"name":"b","prev-id":"2"}],"timeout":1}}`, "Grip-Channel: b; prev-id=1", base(func(in *Instruct) {
			in.Hold, in.Timeout = ResponseHold, 5*time.Second
			in.Channels = []Channel{{Name: "b", PrevID: "2"}}
		})},
		{`{"hold":{"channels":[],"keep-alive":{"content-bin":"AA==","content":"x","timeout":0}}}`, "", base(func(in *Instruct) {
			in.Hold = ResponseHold
			in.KeepAlive = KeepAlive{[]byte{0}, Interval, time.Second}
		})},
		{`{"response":{"code":404,"headers":{"B":"1","A":"2","B":"3","grip-Hold":"stream","content-length":"7","Connection":"x"},"body-bin":"/w==","body":"x"}}`, "", base(func(in *Instruct) {
			in.Response = Response{404, "", []Field{{"B", "1"}, {"A", "2"}, {"B", "3"}}, []byte{0xff}}
		})},
		{`{"response":{"reason":"Fine"}}`, "Grip-Status: 201 Made", base(func(in *Instruct) { in.Response.Status, in.Response.Reason = 201, "Fine" })},
		{`{}`, "Grip-Status: 201 Made", base(func(in *Instruct) { in.Response.Status, in.Response.Reason = 201, "Made" })},
		{`{"response":{"headers":[["X-A","1"]]}}`, "Grip-Expose-Headers: X-B", base(func(in *Instruct) {
			in.Expose = []string{"X-B"}
			in.Response.Fields = []Field{{"X-A", "1"}}
		})},
	} {
		got := mustJSON(t, tt.body, lines(tt.lines)...)
		normalize(got)
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ParseBody(%s)\n got %+v\nwant %+v", tt.body, got, tt.want)
		}
	}
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "|")
}

func TestBadBody(t *testing.T) {
	hold := func(rest string) string { return `{"hold":{"channels":[],` + rest + `}}` }
	channel := func(c string) string { return `{"hold":{"channels":[` + c + `]}}` }
	response := func(r string) string { return `{"response":{` + r + `}}` }
	for _, tt := range []struct{ body, text string }{
		{``, "failed to parse application/grip-instruct content as JSON"},
		{`{"hold":`, "failed to parse application/grip-instruct content as JSON"},
		{"{\"a\":\"\xff\"}", "failed to parse application/grip-instruct content as JSON"},
		{strings.Repeat("[", 50000) + strings.Repeat("]", 50000), "failed to parse application/grip-instruct content as JSON"},
		{`[]`, "instruct must be an object"},
		{`null`, "instruct must be an object"},
		{`{"hold":[]}`, "instruct contains 'hold' with wrong type"},
		{`{"response":"x"}`, "instruct contains 'response' with wrong type"},
		{`{"hold":{}}`, "hold does not contain 'channels'"},
		{`{"hold":{"mode":"wait","channels":[]}}`, "hold 'mode' must be set to either 'response' or 'stream'"},
		{`{"hold":{"mode":1,"channels":[]}}`, "hold contains 'mode' with wrong type"},
		{`{"hold":{"channels":{}}}`, "hold contains 'channels' with wrong type"},
		{channel(`"a"`), "channel is not an object"},
		{channel(`{}`), "channel does not contain 'name'"},
		{channel(`{"name":7}`), "channel contains 'name' with wrong type"},
		{channel(`{"name":""}`), "channel is invalid: the name is empty"},
		{channel(`{"name":"a\nb"}`), "channel is invalid: the name contains a control character"},
		{channel(`{"name":"a","prev-id":1}`), "channel contains 'prev-id' with wrong type"},
		{channel(`{"name":"a","prev-id":"1\r\n2"}`), "channel is invalid: prev-id contains a control character or is not valid UTF-8"},
		{channel(`{"name":"a","filters":"x"}`), "channel contains 'filters' with wrong type"},
		{channel(`{"name":"a","filters":["x",null]}`), "filters contains value with wrong type"},
		{hold(`"timeout":-1`), "hold contains 'timeout' with invalid value"},
		{hold(`"timeout":1.5`), "hold contains 'timeout' with invalid value"},
		{hold(`"timeout":1e400`), "hold contains 'timeout' with invalid value"},
		{hold(`"timeout":2147483648`), "hold contains 'timeout' with invalid value"},
		{hold(`"timeout":"x"`), "hold contains 'timeout' with wrong type"},
		{hold(`"keep-alive":"x"`), "hold contains 'keep-alive' with wrong type"},
		{hold(`"keep-alive":{"content":1}`), "keep-alive contains 'content' with wrong type"},
		{hold(`"keep-alive":{"content-bin":"*"}`), "keep-alive contains 'content-bin' with invalid value"},
		{hold(`"keep-alive":{"content":"` + strings.Repeat("k", 4097) + `"}`), "keep-alive is longer than 4096 bytes"},
		{hold(`"keep-alive":{"content":"k","timeout":-1}`), "keep-alive contains 'timeout' with invalid value"},
		{hold(`"meta":[]`), "hold contains 'meta' with wrong type"},
		{hold(`"meta":{"u":1}`), "'meta' contains 'u' with wrong type"},
		{hold(`"meta":{"u":null}`), "'meta' contains 'u' with wrong type"},
		{hold(`"meta":{"u":"a\nb"}`), "'meta' contains a control character or is not valid UTF-8"},
		{hold(`"meta":{"u":"` + strings.Repeat("m", 4096) + `"}`), "'meta' is longer than 4096 bytes"},
		{response(`"code":"x"`), "response contains 'code' with wrong type"},
		{response(`"code":1000`), "response contains 'code' with invalid value"},
		{response(`"code":600`), "response contains 'code' with invalid value"},
		{response(`"code":199`), "response contains 'code' with invalid value"},
		{channel(`{"name":"a\ud800"}`), "application/grip-instruct content has half of a surrogate pair"},
		{channel(`{"name":"\ud83d\ude00\ude00"}`), "application/grip-instruct content has half of a surrogate pair"},
		{channel(`{"name":"a","prev-id":"1\u0085"}`), "channel is invalid: prev-id contains a control character or is not valid UTF-8"},
		{response(`"code":101`), "response contains 'code' with invalid value"},
		{response(`"code":0`), "response contains 'code' with invalid value"},
		{response(`"reason":"a\r\nb"`), "response contains 'reason' with invalid value"},
		{response(`"reason":1`), "response contains 'reason' with wrong type"},
		{response(`"headers":1`), "response contains 'headers' with wrong type"},
		{response(`"headers":[1]`), "headers contains element with wrong type"},
		{response(`"headers":[["a"]]`), "headers contains list with wrong number of elements"},
		{response(`"headers":[["a",null]]`), "headers contains element with wrong type"},
		{response(`"headers":{"a":{"b":["c"]}}`), "headers contains 'a' with wrong type"},
		{response(`"headers":{"a b":"c"}`), "response has invalid header name"},
		{response(`"headers":{"a":"c\r\nd"}`), "response header 'a' contains a control character"},
		{response(`"body":1`), "response contains 'body' with wrong type"},
		{response(`"body-bin":"a"`), "response contains 'body-bin' with invalid value"},
	} {
		_, err := parseJSON(t, tt.body)
		wantText(t, "ParseBody("+cut(tt.body)+")", err, tt.text)
	}
}
