package proxy

import (
	"fmt"
	"testing"

	"holdfast/pkg/exchange"
)

func TestAddCORS(t *testing.T) {
	for _, test := range []struct {
		name              string
		request, response []exchange.Field
		want              string
	}{
		{"nothing said", nil, nil, "[{Access-Control-Allow-Methods OPTIONS, HEAD, GET, POST, PUT, DELETE} {Access-Control-Allow-Credentials true} " +
			"{Access-Control-Allow-Origin *} {Access-Control-Max-Age 3600} {Vary Origin}]"},
		{"a preflight", []exchange.Field{{Name: "origin", Value: "https://a.example"}, {Name: "Access-Control-Request-Method", Value: "PATCH"},
			{Name: "Access-Control-Request-Headers", Value: "X-A"}, {Name: "Access-Control-Request-Headers", Value: "X-B"}},
			[]exchange.Field{{Name: "Content-Type", Value: "a"}, {Name: "X-C", Value: "1"}, {Name: "x-c", Value: "2"}, {Name: "Etag", Value: "3"}},
			"[{Content-Type a} {X-C 1} {x-c 2} {Etag 3} {Access-Control-Allow-Methods PATCH} {Access-Control-Allow-Headers X-A, X-B} " +
				"{Access-Control-Expose-Headers X-C, Etag} {Access-Control-Allow-Credentials true} {Access-Control-Allow-Origin https://a.example} {Access-Control-Max-Age 3600} {Vary Origin}]"},
		{"all said", nil, []exchange.Field{{Name: "access-control-allow-methods", Value: "1"}, {Name: "Access-Control-Allow-Headers", Value: "2"},
			{Name: "Access-Control-Expose-Headers", Value: "3"}, {Name: "Access-Control-Allow-Credentials", Value: "4"},
			{Name: "Access-Control-Allow-Origin", Value: "5"}, {Name: "Access-Control-Max-Age", Value: "6"}},
			"[{access-control-allow-methods 1} {Access-Control-Allow-Headers 2} {Access-Control-Expose-Headers 3} {Access-Control-Allow-Credentials 4} " +
				"{Access-Control-Allow-Origin 5} {Access-Control-Max-Age 6}]"},
	} {
		if got := fmt.Sprint(addCORS(test.response, &exchange.Request{Fields: test.request})); got != test.want {
			t.Errorf("%s: addCORS = %s, want %s", test.name, got, test.want)
		}
	}
}

func TestAutoCORSIsForEveryAnswer(t *testing.T) {
	for name, response := range map[string]string{
		"an error":   "garbage",
		"a response": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"a stream":   "HTTP/1.1 200 OK\r\n\r\nhi",
		"a hold":     "HTTP/1.1 200 OK\r\nGrip-Hold: response\r\nContent-Length: 0\r\n\r\n",
	} {
		for _, o := range []Options{{}, {AutoCORS: true}} {
			p := newProxy(t, o)
			r := routeTo(saying(t, response))
			r.AutoCORS = !o.AutoCORS
			c := do(t, p, r, get("/"), "")
			if c.plan != nil {
				c.head = c.plan.Head
			}
			if c.field("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: fields = %v", name, c.head.Fields)
			}
		}
	}
}
