package oracle

import (
	"net/http"
	"strings"
)

type answerer func(w http.ResponseWriter, r *http.Request, body []byte)

// exchange is one case: what a client does on one connection, and how the backend answers.
type exchange struct {
	name    string
	backend answerer
	steps   []step
	methods []string // of the requests in order, where they are not GET
}

const (
	bye  = "Connection: close\r\n"
	hold = "Grip-Hold: response\nGrip-Channel: PATH\nX-A: 1\n"
	open = "Grip-Hold: stream\nGrip-Channel: PATH\n"
)

// plain is one request for plain.test that asks for the connection's end.
func plain(name string, backend answerer, fields string) exchange {
	return exchange{name: name, backend: backend, steps: []step{get("plain.test", bye+fields)}}
}

// at is plain for another host.
func at(host, name string, backend answerer) exchange {
	return exchange{name: name, backend: backend, steps: []step{get(host, bye)}}
}

// invalid is an instruct that is refused, in debug mode because its text is then seen.
func invalid(name, fields, body string) exchange {
	return at("debug.test", name, answer(200, fields, body))
}

var requests = []exchange{
	plain("get", echo, "User-Agent: u\r\nX-Foo: bar\r\nx-foo: baz\r\nCookie: a=b\r\nAccept: text/html\r\n"),
	{name: "head", backend: answer(200, "X-A: 1\nContent-Length: 9\n", ""), methods: []string{"HEAD"},
		steps: []step{send("HEAD /PATH HTTP/1.1\r\nHost: plain.test\r\n" + bye + "\r\n")}},
	{name: "options", backend: echo, steps: []step{send("OPTIONS /PATH HTTP/1.1\r\nHost: plain.test\r\n" + bye + "\r\n")}},
	{name: "delete", backend: echo, steps: []step{send("DELETE /PATH?a=b&c HTTP/1.1\r\nHost: plain.test\r\n" + bye + "\r\n")}},
	{name: "odd-method", backend: echo, steps: []step{send("BREW /PATH HTTP/1.1\r\nHost: plain.test\r\n" + bye + "\r\n")}},
	{name: "post", backend: echo, steps: []step{send("POST /PATH HTTP/1.1\r\nHost: plain.test\r\nContent-Type: text/x\r\nContent-Length: 5\r\n" + bye + "\r\nhello")}},
	{name: "post-nothing", backend: echo, steps: []step{send("POST /PATH HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 0\r\n" + bye + "\r\n")}},
	{name: "put-large", backend: echo, steps: []step{send("PUT /PATH HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 300000\r\n" + bye + "\r\n" + strings.Repeat("0123456789", 30000))}},
	{name: "chunked", backend: echo, steps: []step{send("PUT /PATH HTTP/1.1\r\nHost: plain.test\r\nTransfer-Encoding: chunked\r\n" + bye + "\r\n5\r\nhello\r\n3;x=y\r\n on\r\n0\r\nX-Trailer: 1\r\n\r\n")}},
	{name: "continue", backend: echo, steps: []step{send("POST /PATH HTTP/1.1\r\nHost: plain.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" + bye + "\r\n"), await("100 Continue"), send("ok")}},
	{name: "old", backend: echo, steps: []step{send("GET /PATH HTTP/1.0\r\nHost: plain.test\r\n\r\n")}},
	{name: "old-kept", backend: echo, steps: []step{send("GET /PATH HTTP/1.0\r\nHost: plain.test\r\nConnection: keep-alive\r\n\r\n")}},
	{name: "old-chunks", backend: pieces, steps: []step{send("GET /PATH HTTP/1.0\r\nHost: plain.test\r\n\r\n")}},
	{name: "kept", backend: echo, steps: []step{get("plain.test", ""), await("\"\"\n"), get("plain.test", ""), settle}},
	{name: "pipelined", backend: echo, methods: []string{"GET", "HEAD", "POST"}, steps: []step{send("GET /PATH/1 HTTP/1.1\r\nHost: plain.test\r\n\r\nHEAD /PATH/2 HTTP/1.1\r\nHost: plain.test\r\n\r\nPOST /PATH/3 HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 3\r\n" + bye + "\r\nabc")}},
	plain("hop-by-hop", echo, "Keep-Alive: timeout=5\r\nTE: trailers\r\nTrailer: X-T\r\nProxy-Authorization: x\r\nVia: 1.1 front\r\nAccept-Encoding: br\r\n"),
	{name: "named-by-connection", backend: echo, steps: []step{get("plain.test", "Connection: close, X-Hop\r\nX-Hop: 1\r\n")}},
	plain("grip-fields", echo, "Grip-Foo: 1\r\nGrip-Sig: forged\r\nGrip-Feature: none\r\ngrip-last: a; last-id=1\r\n"),
	plain("forwarded", echo, "X-Forwarded-For: 9.9.9.9, 8.8.8.8\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Protocol: https\r\nX-Real-IP: 1.2.3.4\r\n"),
	plain("pushpin-route", echo, "Pushpin-Route: other\r\n"),
	{name: "no-host", backend: echo, steps: []step{send("GET /PATH HTTP/1.0\r\n\r\n")}},
	{name: "websocket", backend: echo, steps: []step{get("plain.test", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")}},
	{name: "absolute", backend: echo, steps: []step{send("GET http://plain.test/PATH HTTP/1.1\r\nHost: plain.test\r\n" + bye + "\r\n")}},
	{name: "host-port", backend: echo, steps: []step{get("plain.test:8080", bye)}},
	{name: "host-case", backend: echo, steps: []step{get("PLAIN.Test", bye)}},
	{name: "escapes", backend: echo, steps: []step{send("GET /PATH/%41%2f/../b//c?x=%20+&y=%c3%a9;: HTTP/1.1\r\nHost: plain.test\r\n" + bye + "\r\n")}},
	{name: "bad-target", backend: echo, steps: []step{send("GET /PATH?\"é\" HTTP/1.1\r\nHost: plain.test\r\n" + bye + "\r\n")}},
	{name: "garbled", backend: echo, steps: []step{send("GET /PATH\r\nHost: plain.test\r\n" + bye + "\r\n")}},
	{name: "large-head", backend: echo, steps: []step{get("plain.test", bye+"X-Large: "+strings.Repeat("x", 9000)+"\r\n")}},
}

var rewriting = []exchange{
	at("header.test", "route-header", echo),
	{name: "route-header-gone", backend: echo, steps: []step{get("header.test", bye+"X-Gone: 1\r\nX-Added: no\r\n")}},
	{name: "replace-beg", backend: echo, steps: []step{send("GET /v1/PATH?q=1 HTTP/1.1\r\nHost: beg.test\r\n" + bye + "\r\n")}},
	{name: "escaped-beg", backend: echo, steps: []step{send("GET /%761/PATH?q=1 HTTP/1.1\r\nHost: beg.test\r\n" + bye + "\r\n")}},
	{name: "path-rem", backend: echo, steps: []step{send("GET /cut/PATH HTTP/1.1\r\nHost: rem.test\r\n" + bye + "\r\n")}},
	{name: "no-path", backend: echo, steps: []step{send("GET /elsewhere/PATH HTTP/1.1\r\nHost: beg.test\r\n" + bye + "\r\n")}},
	at("ashost.test", "as-host", echo),
	at("host.test", "target-host", echo),
	at("over.test", "failover", echo),
	{name: "cors", backend: echo, steps: []step{get("aco.test", bye+"Origin: http://a.test\r\n")}},
	{name: "no-grip", backend: answer(200, open+"Grip-Foo: 1\n", "not held"), steps: []step{get("nogrip.test", bye+"Grip-Foo: 1\r\n")}},
}

var responses = []exchange{
	plain("pieces", pieces, ""),
	plain("no-content", answer(204, "X-A: 1\n", ""), ""),
	plain("not-modified", answer(304, "ETag: \"a\"\n", ""), ""),
	plain("redirect", answer(302, "Location: http://elsewhere.test/\n", "go"), ""),
	plain("server-error", answer(500, "X-A: 1\n", "broken"), ""),
	plain("odd-status", raw("HTTP/1.1 299 Very Odd\r\nContent-Length: 1\r\n\r\nx"), ""),
	plain("no-reason", raw("HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx"), ""),
	plain("backend-fields", raw("HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nServer: s\r\nVia: 1.1 b\r\nVary: a\r\nContent-Length: 1\r\n\r\nx"), ""),
	plain("until-close", raw("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it"), ""),
	plain("old-backend", raw("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it"), ""),
	plain("early-hints", raw("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"), ""),
	plain("identity", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok"), ""),
	plain("encoded", raw("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"), ""),
	plain("cut-body", raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"), ""),
	plain("cut-chunk", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"), ""),
	plain("garbage", raw("not HTTP at all\r\n\r\n"), ""),
	plain("nothing", raw(""), ""),
	plain("half-head", raw("HTTP/1.1 200 OK\r\nX-A"), ""),
	plain("bad-length", raw("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), ""),
	at("unknown.test", "no-route", echo),
	at("down.test", "down", echo),
	at("down-debug.test", "down-debug", echo),
	{name: "length-required", backend: answer(411, "", "backend's own text"), steps: []step{get("plain.test", bye)}},
}

var instructs = []exchange{
	invalid("bad-hold", "Grip-Hold: maybe\nGrip-Channel: a\n", ""),
	invalid("bad-timeout", "Grip-Hold: response\nGrip-Channel: a\nGrip-Timeout: soon\n", ""),
	invalid("negative-timeout", "Grip-Hold: response\nGrip-Channel: a\nGrip-Timeout: -1\n", ""),
	invalid("bad-status", "Grip-Status: 1000\n", ""),
	invalid("bad-keep-alive", "Grip-Hold: stream\nGrip-Channel: a\nGrip-Keep-Alive: x; format=odd\n", ""),
	invalid("bad-keep-alive-mode", "Grip-Hold: stream\nGrip-Channel: a\nGrip-Keep-Alive: x; mode=foo\n", ""),
	invalid("bad-cstring", "Grip-Hold: stream\nGrip-Channel: a\nGrip-Keep-Alive: a\\; format=cstring\n", ""),
	invalid("empty-channel", "Grip-Hold: stream\nGrip-Channel: ; filter=skip-self\n", ""),
	invalid("many-filters", "Grip-Hold: stream\nGrip-Channel: a; filter=1; filter=2; filter=3; filter=4; filter=5; filter=6\n", ""),
	invalid("empty-meta", "Grip-Hold: stream\nGrip-Channel: a\nGrip-Set-Meta: \n", ""),
	invalid("json-broken", "Content-Type: application/grip-instruct\n", "{"),
	invalid("json-list", "Content-Type: application/grip-instruct\n", "[]"),
	invalid("json-hold", "Content-Type: application/grip-instruct\n", `{"hold":1}`),
	invalid("json-no-channels", "Content-Type: application/grip-instruct\n", `{"hold":{}}`),
	invalid("json-mode", "Content-Type: application/grip-instruct\n", `{"hold":{"mode":"x","channels":[]}}`),
	invalid("json-channel", "Content-Type: application/grip-instruct\n", `{"hold":{"channels":[{}]}}`),
	at("debug.test", "json-status", answer(201, "Content-Type: application/grip-instruct\n", `{}`)),
	plain("bad-hold-quiet", answer(200, "Grip-Hold: maybe\nGrip-Channel: a\n", ""), ""),
	plain("large-instruct", answer(200, hold, strings.Repeat("x", 100001)), ""),
	at("debug.test", "large-instruct-debug", answer(200, hold, strings.Repeat("x", 100001))),
	{name: "large-request", backend: answer(200, hold, "x"), steps: []step{send("POST /PATH HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 200000\r\n" + bye + "\r\n" + strings.Repeat("x", 200000))}},
	plain("no-hold", answer(200, "Grip-Channel: a\nGrip-Status: 201 Made\nGrip-Foo: 1\nX-A: 1\nX-B: 2\nGrip-Expose-Headers: X-A, Content-Type\n", "at once"), ""),
	plain("json-no-hold", answer(200, "Content-Type: application/grip-instruct\nX-Outer: 1\n", `{"response":{"code":202,"reason":"Yes","headers":[["X-J","1"],["Content-Type","text/x"]],"body":"at once"}}`), ""),
	plain("json-binary", answer(200, "Content-Type: application/grip-instruct; charset=utf-8\n", `{"response":{"headers":{"X-J":"1"},"body":"not this","body-bin":"aGkh"}}`), ""),
	at("debug.test", "json-empty-body", answer(200, "Content-Type: application/grip-instruct\n", `{"response":{"body":""}}`)),
	at("debug.test", "json-empty-debug", answer(200, "Content-Type: application/grip-instruct\n", `{}`)),
	plain("json-response-empty", answer(200, "Content-Type: application/grip-instruct\n", `{"response":{}}`), ""),
	plain("grip-link", answer(200, "Grip-Link: </next>; rel=next\n", "x"), ""),
	plain("json-empty", answer(200, "Content-Type: application/grip-instruct\n", `{}`), ""),
}

var holds = []exchange{
	{name: "poll-publish", backend: answer(200, hold, "timed out"), steps: []step{get("plain.test", ""), asked(1), response(`"code":202,"reason":"Yep","headers":{"X-A":"2","X-C":"3"},"body":"news"`)}},
	{name: "poll-defaults", backend: answer(200, hold, "timed out"), steps: []step{get("plain.test", ""), asked(1), response(`"body":"news"`)}},
	{name: "poll-grip-fields", backend: answer(200, hold, "timed out"), steps: []step{get("plain.test", ""), asked(1), response(`"headers":[["Grip-Hold","x"],["Set-Cookie","a"],["Set-Cookie","b"]],"body-bin":"AAH/"`)}},
	{name: "poll-204", backend: answer(200, hold, "timed out"), steps: []step{get("plain.test", ""), asked(1), response(`"code":204,"body":""`)}},
	{name: "poll-patch", backend: answer(200, hold, `{"a":1}`), steps: []step{get("plain.test", ""), asked(1), response(`"body-patch":[{"op":"replace","path":"/a","value":2}]`)}},
	{name: "poll-bad-patch", backend: answer(200, hold, `no JSON`), steps: []step{get("plain.test", ""), asked(1), response(`"body-patch":[{"op":"replace","path":"/a","value":2}]`)}},
	{name: "poll-failed-patch", backend: answer(200, hold, `{"b":1}`), steps: []step{get("plain.test", ""), asked(1), response(`"body-patch":[{"op":"replace","path":"/a","value":2}]`)}},
	{name: "poll-failed-patch-debug", backend: answer(200, hold, `{"b":1}`), steps: []step{get("debug.test", ""), asked(1), response(`"body-patch":[{"op":"replace","path":"/a","value":2}]`)}},
	{name: "poll-old", backend: answer(200, hold, "timed out"), steps: []step{send("GET /PATH HTTP/1.0\r\nHost: plain.test\r\n\r\n"), asked(1), response(`"body":"news"`)}},
	{name: "poll-close", backend: answer(200, hold, "timed out"), steps: []step{get("plain.test", bye), asked(1), response(`"body":"news"`)}},
	{name: "poll-head", backend: answer(200, hold, ""), methods: []string{"HEAD"}, steps: []step{send("HEAD /PATH HTTP/1.1\r\nHost: plain.test\r\n\r\n"), asked(1), response(`"body":"news"`)}},
	{name: "poll-timeout", backend: answer(203, hold+"Grip-Timeout: 5\n", "timed out"), steps: []step{get("plain.test", ""), await("timed out")}},
	{name: "poll-timeout-status", backend: answer(200, hold+"Grip-Timeout: 1\nGrip-Status: 204 Nothing\n", ""), steps: []step{get("plain.test", ""), await("HTTP/1.1")}},
	{name: "poll-pipelined", backend: answer(200, hold, "timed out"), steps: []step{get("plain.test", ""), asked(1), get("plain.test", ""), response(`"body":"first"`), await("first"), asked(2), response(`"body":"second"`)}},
	{name: "poll-hint", backend: pollAgain, steps: []step{send("POST /PATH?q=1 HTTP/1.1\r\nHost: plain.test\r\nX-Foo: bar\r\nContent-Length: 4\r\n\r\nbody"), asked(1), response(`"action":"hint"`), asked(2)}},
	{name: "poll-gap", backend: pollAgain, steps: []step{get("plain.test", ""), asked(1), publish(`{"channel":"PATH","id":"9","prev-id":"8","formats":{"http-response":{"body":"not this"}}}`), asked(2)}},
	{name: "poll-in-order", backend: pollAgain, steps: []step{get("plain.test", ""), asked(1), publish(`{"channel":"PATH","id":"6","prev-id":"5","formats":{"http-response":{"body":"in order"}}}`)}},
	{name: "poll-json", backend: answer(200, "Content-Type: application/grip-instruct\n", `{"hold":{"channels":[{"name":"PATH"}]},"response":{"headers":{"X-J":"1"},"body":"timed out"}}`), steps: []step{get("plain.test", ""), asked(1), response(`"body":"news"`)}},
	{name: "poll-404", backend: answer(404, hold+"Grip-Timeout: 5\n", "missing"), steps: []step{get("plain.test", ""), await("missing")}},
	{name: "poll-wrong-format", backend: answer(200, hold+"Grip-Timeout: 5\n", "timed out"), steps: []step{get("plain.test", ""), asked(1), stream("x", ""), await("timed out")}},
	{name: "stream", backend: answer(200, open+"X-A: 1\nContent-Type: text/event-stream\n", "open\n"), steps: []step{get("plain.test", ""), await("open\n"), settle, stream("one\n", ""), stream("two\n", "")}},
	{name: "stream-close", backend: answer(200, open, "open\n"), steps: []step{get("plain.test", ""), await("open\n"), settle, stream("one\n", ""), publish(`{"channel":"PATH","formats":{"http-stream":{"action":"close"}}}`)}},
	{name: "stream-old", backend: answer(200, open, "open\n"), steps: []step{send("GET /PATH HTTP/1.0\r\nHost: plain.test\r\n\r\n"), await("open\n"), settle, stream("one\n", ""), publish(`{"channel":"PATH","formats":{"http-stream":{"action":"close"}}}`)}},
	{name: "stream-head", backend: answer(200, open, ""), methods: []string{"HEAD"}, steps: []step{send("HEAD /PATH HTTP/1.1\r\nHost: plain.test\r\n\r\n"), asked(1), stream("one\n", "")}},
	{name: "stream-empty", backend: answer(200, open, ""), steps: []step{get("plain.test", ""), await("\r\n\r\n"), settle, stream("one\n", "")}},
	{name: "stream-status", backend: answer(200, open+"Grip-Status: 203 Held\nGrip-Expose-Headers: X-A\nX-A: 1\nX-B: 2\n", "open\n"), steps: []step{get("plain.test", ""), await("open\n"), settle}},
	{name: "stream-large", backend: answer(200, open, strings.Repeat("large", 40000)+"end\n"), steps: []step{get("plain.test", ""), await("end\n"), settle, stream("one\n", "")}},
	{name: "stream-keep-alive", backend: answer(200, open+`Grip-Keep-Alive: ka\n; format=cstring; timeout=2`+"\n", "open\n"), steps: []step{get("plain.test", ""), await("open\n"), await("ka\n")}},
	{name: "stream-prefix", backend: answer(200, open, "open\n"), steps: []step{get("prefix.test", ""), await("open\n"), settle, stream("not this\n", ""), publish(`{"channel":"pre-PATH","formats":{"http-stream":{"content":"this\n"}}}`)}},
	{name: "stream-sub", backend: answer(200, open, "open\n"), steps: []step{get("sub.test", ""), await("open\n"), settle, publish(`{"channel":"implied","formats":{"http-stream":{"content":"implied\n"}}}`)}},
	{name: "stream-json", backend: answer(200, "Content-Type: application/grip-instruct\n", `{"hold":{"mode":"stream","channels":[{"name":"PATH","filters":["skip-self"]}],"meta":{"user":"al"}},"response":{"headers":{"X-J":"1"},"body":"open\n"}}`), steps: []step{get("plain.test", ""), await("open\n"), settle, stream("own\n", `,"meta":{"sender":"al"}`), stream("other's\n", `,"meta":{"sender":"bo"}`)}},
	{name: "filter-skip-self", backend: answer(200, "Grip-Hold: stream\nGrip-Channel: PATH; filter=skip-self\nGrip-Set-Meta: user=al\n", "open\n"), steps: []step{get("plain.test", ""), await("open\n"), settle, stream("own\n", `,"meta":{"sender":"al"}`), stream("other's\n", `,"meta":{"sender":"bo"}`)}},
	{name: "filter-skip-users", backend: answer(200, "Grip-Hold: stream\nGrip-Channel: PATH; filter=skip-users\nGrip-Set-Meta: user=\"al\"\n", "open\n"), steps: []step{get("plain.test", ""), await("open\n"), settle, stream("not al\n", `,"meta":{"skip_users":"cy, al"}`), stream("not bo\n", `,"meta":{"skip_users":"bo"}`)}},
	{name: "filter-require-sub", backend: answer(200, "Grip-Hold: stream\nGrip-Channel: PATH; filter=require-sub, PATH-also\n", "open\n"), steps: []step{get("plain.test", ""), await("open\n"), settle, stream("not subscribed\n", `,"meta":{"require_sub":"elsewhere"}`), stream("subscribed\n", `,"meta":{"require_sub":"PATH-also"}`)}},
	{name: "filter-unknown", backend: answer(200, "Grip-Hold: stream\nGrip-Channel: PATH; filter=odd\n", "open\n"), steps: []step{get("plain.test", ""), await("open\n"), settle, stream("one\n", "")}},
	{name: "content-filters", backend: answer(200, open, "open\n"), steps: []step{get("plain.test", ""), await("open\n"), settle, publish(`{"channel":"PATH","formats":{"http-stream":{"content":"filtered\n","content-filters":["skip-self"]}}}`), stream("plain\n", "")}},
	{name: "stream-dedupe", backend: answer(200, open, "open\n"), steps: []step{get("plain.test", ""), await("open\n"), settle, stream("one\n", `,"id":"1"`), stream("again\n", `,"id":"1"`), stream("two\n", `,"id":"2"`)}},
	{name: "stream-prev-id", backend: answer(200, "Grip-Hold: stream\nGrip-Channel: PATH; prev-id=5\n", "open\n"), steps: []step{get("plain.test", ""), asked(1), stream("one\n", "")}},
}

// pollAgain holds a request the first time and answers it when it is sent again.
func pollAgain(w http.ResponseWriter, r *http.Request, body []byte) {
	if r.Header.Get("Grip-Last") != "" || r.Header.Get("X-Again") != "" {
		answer(200, "", "asked again, "+r.Header.Get("Grip-Last"))(w, r, body)
		return
	}
	answer(200, "Grip-Hold: response\nGrip-Channel: PATH; prev-id=5\nGrip-Timeout: 30\n", "timed out")(w, r, body)
}

// byName is what the backend looks cases up in.
var byName = make(map[string]exchange)

func init() {
	for _, group := range [][]exchange{requests, rewriting, responses, instructs, holds} {
		for _, c := range group {
			if _, twice := byName[c.name]; twice {
				panic("two cases " + c.name)
			}
			byName[c.name] = c
		}
	}
}
