package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/exchange"
)

const generic = proxyError + "\n"

const ok = "HTTP/1.1 200 OK\r\n"

func hold(fields string) string { return ok + fields + "Content-Length: 2\r\n\r\nhi" }

var badResponses = []struct {
	name, response string
	cause          Cause
	status         int
	text, debug    string // of the answer, without and with debug
	log            string // part of the line
}{
	{"nothing", "", CauseEOF, 502, generic, generic, "EOF"},
	{"garbage", "\x16\x03\x01\x02 garbage\n\n", CauseParse, 502, generic, generic, "malformed"},
	{"another protocol", "SSH-2.0-OpenSSH_9\r\n", CauseParse, 502, generic, generic, "malformed"},
	{"half a head", ok + "Content-Type: te", CauseEOF, 502, generic, generic, "EOF"},
	{"a huge head", ok + "X: " + strings.Repeat("x", 70<<10) + "\r\n\r\n", CauseParse, 502, generic, generic, "exceeded"},
	{"endless interim responses", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 5000), CauseParse, 502, generic, generic, "exceeded"},
	{"status 99", "HTTP/1.1 099 Odd\r\n\r\n", CauseParse, 502, generic, generic, "99"},
	{"switching protocols", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", CauseParse, 502, generic, generic, "101"},
	{"two lengths", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", CauseParse, 502, generic, generic, "Content-Length"},
	{"a negative length", ok + "Content-Length: -1\r\n\r\n", CauseParse, 502, generic, generic, "Content-Length"},
	{"a bare CR in a value", ok + "X: a\rY: b\r\nContent-Length: 0\r\n\r\n", CauseParse, 502, generic, generic, "malformed"},
	{"a control byte in a value", ok + "X: a\x01b\r\nContent-Length: 0\r\n\r\n", CauseParse, 502, generic, generic, "X"},
	{"a bare CR in the reason", "HTTP/1.1 200 OK\rX: y\r\nContent-Length: 0\r\n\r\n", CauseParse, 502, generic, generic, "control"},
	{"a space before the colon", ok + "X : a\r\n\r\n", CauseParse, 502, generic, generic, "field"},
	{"no body", ok + "Content-Length: 5\r\n\r\n", CauseEOF, 502, generic, generic, "EOF"},

	{"a wrong hold", hold("Grip-Hold: maybe\r\n"), CauseInstruct, 502, generic,
		"Failed to parse accept instructions: Grip-Hold must be set to either 'response' or 'stream'\n", "maybe"},
	{"a wrong timeout", hold("Grip-Hold: response\r\nGrip-Timeout: soon\r\n"), CauseInstruct, 502, generic,
		"Failed to parse accept instructions: failed to parse Grip-Timeout\n", "soon"},
	{"CR in Grip-Status", hold("Grip-Hold: response\r\nGrip-Status: 200 OK\rSet-Cookie: a=b\r\n"), CauseParse, 502, generic, generic, "Grip-Status"},
	{"an interim Grip-Status", hold("Grip-Hold: response\r\nGrip-Status: 100\r\n"), CauseInstruct, 502, generic,
		"Failed to parse accept instructions: Grip-Status contains invalid status code\n", "100"},
	{"CR in Grip-Set-Meta", hold("Grip-Hold: stream\r\nGrip-Set-Meta: user=\"a\rb\"\r\n"), CauseParse, 502, generic, generic, "Grip-Set-Meta"},
	{"a stream without content", "HTTP/1.1 204 No Content\r\nGrip-Hold: stream\r\n\r\n", CauseInstruct, 502, generic,
		"Failed to parse accept instructions: a stream hold cannot have a status without content\n", "without content"},
	{"JSON that is none", ok + "Content-Type: application/grip-instruct\r\nContent-Length: 2\r\n\r\n{]", CauseInstruct, 502, generic,
		"Failed to parse accept instructions: failed to parse application/grip-instruct content as JSON\n", "JSON"},
	{"CR LF in JSON", jsonResponse(`{"response":{"headers":{"A":"b\r\nc"}}}`), CauseInstruct, 502, generic,
		"Failed to parse accept instructions: response header 'A' contains a control character\n", "control"},
	{"CR LF in JSON's metadata", jsonResponse(`{"hold":{"channels":[],"meta":{"user":"a\r\nb"}}}`), CauseInstruct, 502, generic,
		"Failed to parse accept instructions: 'meta' contains a control character or is not valid UTF-8\n", "meta"},
	{"Grip-Set-Meta without a name", hold("Grip-Hold: stream\r\nGrip-Set-Meta: =x\r\n"), CauseInstruct, 502, generic,
		"Failed to parse accept instructions: Grip-Set-Meta cannot be empty\n", "Grip-Set-Meta"},
	{"CR LF in JSON's reason", jsonResponse(`{"response":{"reason":"b\r\nc"}}`), CauseInstruct, 502, generic,
		"Failed to parse accept instructions: response contains 'reason' with invalid value\n", "reason"},
	{"a hold with a short body", ok + "Grip-Hold: response\r\nContent-Length: 5\r\n\r\nab", CauseEOF, 502, generic, generic, "EOF"},
	{"a hold with a bad chunk", ok + "Grip-Hold: response\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", CauseParse, 502, generic, generic, "chunk"},
	{"a long hold", ok + "Grip-Hold: response\r\nContent-Length: 100001\r\n\r\n" + strings.Repeat("x", 100001), CauseTooLarge, 502, generic,
		"GRIP instruct response too large from ADDR\n", "too large"},
	{"an endless hold", ok + "Grip-Channel: a\r\n\r\n" + strings.Repeat("x", 1<<20), CauseTooLarge, 502, generic,
		"GRIP instruct response too large from ADDR\n", "too large"},
	{"endless JSON of a stream", ok + "Content-Type: application/grip-instruct\r\nGrip-Hold: stream\r\n\r\n" + strings.Repeat(" ", 1<<20),
		CauseTooLarge, 502, generic, "GRIP instruct response too large from ADDR\n", "too large"},

	{"a link", hold("Grip-Link: </next>; rel=next\r\n"), CauseNotServed, 502,
		"The backend asks for what is not served: Grip-Link rel=next.\n", "", "rel=next"},
	{"a filter", hold("Grip-Hold: stream\r\nGrip-Channel: a; filter=var-subst\r\n"), CauseNotServed, 502,
		"The backend asks for what is not served: filter var-subst.\n", "", "var-subst"},
}

// TestBadBackends has every kind of wrong response answered as section 1.9 of the reference says, with its cause in the log.
func TestBadBackends(t *testing.T) {
	for _, test := range badResponses {
		for _, debug := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/debug=%v", test.name, debug), func(t *testing.T) {
				log, logged := logTo()
				p := newProxy(t, Options{Log: log, Timeout: patience})
				r := routeTo(saying(t, test.response))
				r.Debug = debug
				c := do(t, p, r, get("/"), "")
				want := test.text
				if debug && test.debug != "" {
					want = strings.Replace(test.debug, "ADDR", r.Targets[0].Addr, 1)
				}
				if got := c.String(); got != fmt.Sprintf("[%d] %d %q", exchange.Answer, test.status, want) {
					t.Errorf("answer = %s, want %d %q", got, test.status, want)
				}
				if n := strings.Count(string(c.body), "\n"); n != 1 || strings.Contains(string(c.body), "\r") {
					t.Errorf("the text %q is not one line", c.body)
				}
				if c.head.Length != int64(len(c.body)) || c.field("Content-Type") != "text/plain" {
					t.Errorf("head = %+v", c.head)
				}
				if n := p.stats.Errors(test.cause); n != 1 {
					t.Errorf("errors for %v = %d, want 1; log: %s", test.cause, n, logged())
				}
				if l := logged(); strings.Count(l, "\n") != 1 || !strings.Contains(l, "cause="+test.cause.String()) || !strings.Contains(l, test.log) {
					t.Errorf("log = %s, want one line with the cause %v and %q", l, test.cause, test.log)
				}
			})
		}
	}
}

func jsonResponse(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/grip-instruct; x=y\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func TestAnswerThatBreaksOffIsCut(t *testing.T) {
	for name, response := range map[string]string{
		"short length":    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
		"length":          "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc",
		"chunked":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"bad chunk":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
		"long first body": "HTTP/1.1 200 OK\r\nGrip-Hold: stream\r\nGrip-Channel: a\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("abc", 50000),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, Options{})
			c := do(t, p, routeTo(saying(t, response)), get("/"), "")
			if c.kinds[0] != exchange.Begin || c.kinds[len(c.kinds)-1] != exchange.Cut || !strings.HasPrefix(string(c.body), "abc") {
				t.Errorf("got %.200s, want a beginning that is cut", c)
			}
			if p.stats.Errors(CauseCut) != 1 {
				t.Errorf("errors for cut = %d, want 1", p.stats.Errors(CauseCut))
			}
		})
	}
}

func TestRedirectIsPassedThrough(t *testing.T) {
	p := newProxy(t, Options{})
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	})
	c := do(t, p, routeTo(addr), get("/"), "")
	if c.head.Status != http.StatusFound || c.field("Location") != "http://127.0.0.1:1/" {
		t.Errorf("answer = %v %v, want the redirect itself", c, c.head.Fields)
	}
}

func TestSlowBackendsAreAnswered504(t *testing.T) {
	hang := func(say string) func(nc net.Conn, _ int) {
		return func(nc net.Conn, _ int) {
			br := bufio.NewReader(nc)
			readHead(br)
			_, _ = io.WriteString(nc, say)
			_, _ = br.ReadByte() // until the proxy gives up
		}
	}
	for name, say := range map[string]string{
		"silence":           "",
		"half a head":       "HTTP/1.1 200 OK\r\nX",
		"half a hold":       "HTTP/1.1 200 OK\r\nGrip-Hold: response\r\nContent-Length: 10\r\n\r\nabc",
		"an unending hold":  "HTTP/1.1 200 OK\r\nGrip-Hold: stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"hints and nothing": "HTTP/1.1 103 Early Hints\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, Options{Timeout: 50 * time.Millisecond})
			c := do(t, p, routeTo(raw(t, hang(say))), get("/"), "")
			if c.head == nil || c.head.Status != http.StatusGatewayTimeout || string(c.body) != "The backend did not answer in time.\n" {
				t.Errorf("answer = %v, want 504", c)
			}
			if p.stats.Errors(CauseTimeout) != 1 {
				t.Errorf("errors for timeout = %d", p.stats.Errors(CauseTimeout))
			}
		})
	}
}

func TestBackendThatTakesNoBodyIsAnswered504(t *testing.T) {
	p := newProxy(t, Options{Timeout: 100 * time.Millisecond})
	over := make(chan struct{})
	addr := raw(t, func(nc net.Conn, _ int) {
		_ = nc.(*net.TCPConn).SetReadBuffer(4 << 10)
		readHead(bufio.NewReaderSize(nc, 16))
		<-over
	})
	defer close(over)
	req := get("/")
	req.Method, req.Length = "POST", 64<<20
	c := begin(t.Context(), p, routeTo(addr), req)
	go func() {
		for i := 0; i < 1<<10; i++ {
			if c.x.Push(make([]byte, 64<<10)) == 64<<10 {
				continue
			}
			select {
			case <-c.room:
			case <-c.done:
				return
			}
		}
	}()
	if c.wait(t); c.head.Status != http.StatusGatewayTimeout {
		t.Errorf("answer = %v, want 504", c)
	}
}

// TestSlowClientDoesNotCostTheBackendItsTime: the time for the backend stands still while the client sends.
func TestSlowClientDoesNotCostTheBackendItsTime(t *testing.T) {
	p := newProxy(t, Options{Timeout: 100 * time.Millisecond})
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	})
	req := get("/")
	req.Method, req.Length = "POST", 4
	c := begin(t.Context(), p, routeTo(addr), req)
	for _, s := range []string{"a", "b", "cd"} {
		time.Sleep(250 * time.Millisecond) // more than the backend has
		c.x.Push([]byte(s))
	}
	c.x.PushEnd(nil)
	if c.wait(t); string(c.body) != "abcd" {
		t.Errorf("answer = %v, want abcd", c)
	}
}

func TestLogIsLimited(t *testing.T) {
	log, logged := logTo()
	p := newProxy(t, Options{Log: log})
	a, b := routeTo(refusing(t)), routeTo(refusing(t))
	b.ID = "b"
	for range 5 {
		do(t, p, a, get("/"), "")
	}
	do(t, p, b, get("/"), "")
	if n := strings.Count(logged(), "\n"); n != 2 {
		t.Errorf("%d lines for two routes in less than a second:\n%s", n, logged())
	}
	k := reportKey{"r", CauseDial}
	if held, may := p.log.may(k, time.Now().Add(2*time.Second)); held != 4 || !may {
		t.Errorf("a second later: %d held back, may = %v, want 4 and true", held, may)
	}
}

func TestLimitsOfHoldsCanBeChanged(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Grip-Hold", "response")
		w.Header().Set("Grip-Channel", "a; filter=1; filter=2; filter=3; filter=4; filter=5; filter=6")
		if r.URL.Path == "/long" {
			_, _ = io.WriteString(w, long)
		}
	})
	for _, test := range []struct {
		name, target, body string
		opt                Options
		cause              Cause // of the error, when there is one
		held               bool
	}{
		{"filters", "/", "", Options{}, CauseInstruct, false},
		{"more filters", "/", "", Options{MaxFilters: 6}, 0, true},
		{"an answer", "/long", "", Options{MaxFilters: 6}, CauseTooLarge, false},
		{"a longer answer", "/long", "", Options{MaxFilters: 6, MaxHoldBody: 200_000}, 0, true},
		{"a request", "/", long, Options{MaxFilters: 6}, CauseRequestTooLarge, false},
		{"a longer request", "/", long, Options{MaxFilters: 6, MaxHoldBody: 200_000}, 0, true},
		{"a request just too long", "/", long, Options{MaxFilters: 6, MaxHoldBody: 199_999}, CauseRequestTooLarge, false},
	} {
		p := newProxy(t, test.opt)
		req := get(test.target)
		if test.body != "" {
			req.Method = "POST"
		}
		c := do(t, p, routeTo(addr), req, test.body)
		if held := c.plan != nil; held != test.held || !held && p.stats.Errors(test.cause) != 1 {
			t.Errorf("%s: held = %v, want %v; %v", test.name, held, test.held, c)
		}
		if test.held && len(c.plan.Again.Body) != len(test.body) {
			t.Errorf("%s: %d bytes of the request are kept, want %d", test.name, len(c.plan.Again.Body), len(test.body))
		}
	}
}
