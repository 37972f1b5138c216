package session

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"holdfast/pkg/stats"
	"holdfast/pkg/token"
)

const secret = "a secret of thirty-two bytes, at least"

// newGuarded returns a fake whose clients need a token. Its Gate runs until the test ends.
func newGuarded(t *testing.T) *fakeTransport {
	t.Helper()
	f := newStalled(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.clients.opts.Gate.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return f
}

// newStalled is newGuarded with a Gate that does not run.
func newStalled(t *testing.T) *fakeTransport {
	t.Helper()
	key, err := token.ParseKey(secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := testOptions
	o.Gate = NewGate(GateOptions{Key: key, Cookie: "pushd-token", Grace: 10 * time.Second, Loops: 1})
	return newFakeWith(t, o)
}

// judge hands n verdicts over, as the loop does.
func (f *fakeTransport) judge(n int) {
	f.t.Helper()
	for range n {
		select {
		case v := <-f.verdicts:
			f.clients.Task(v)
		case <-time.After(10 * time.Second):
			f.t.Fatal("the Gate does not answer")
		}
		f.settle()
	}
}

// settle does what loops do at the end of a batch, until nothing is left.
func (f *fakeTransport) settle() {
	for more := true; more; {
		for id, c := range f.conns {
			if c.again && !c.over {
				f.write(id, "")
			}
		}
		more = f.clients.BatchEnd()
	}
}

func sign(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tokenFor(t *testing.T, lasts time.Duration, channels ...string) string {
	return sign(t, jwt.MapClaims{"exp": time.Now().Add(lasts).Unix(), "channels": channels})
}

func TestTokenDecides(t *testing.T) {
	good := tokenFor(t, time.Hour, "a", "news.*")
	tail := " HTTP/1.1\r\nHost: x\r\n"
	for name, tt := range map[string]struct{ request, status, body, challenge string }{
		"bearer":           {"GET /events?channel=a" + tail + "Authorization: Bearer " + good + "\r\n\r\n", "", "", ""},
		"parameter":        {"GET /events?channel=a&channel=news.x&token=" + good + tail + "\r\n", "", "", ""},
		"cookie":           {"GET /events?channel=a" + tail + "Cookie: x=y; pushd-token=" + good + "\r\n\r\n", "", "", ""},
		"WebSocket":        {"GET /ws?channel=a&token=" + good + tail + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", "", "", ""},
		"none":             {"GET /events?channel=a" + tail + "\r\n", "401", "missing token", "Bearer"},
		"empty":            {"GET /events?channel=a&token=" + tail + "\r\n", "401", "missing token", "Bearer"},
		"cookie of others": {"GET /events?channel=a" + tail + "Cookie: token=" + good + "\r\n\r\n", "401", "missing token", "Bearer"},
		"channel":          {"GET /events?channel=b&token=" + good + tail + "\r\n", "403", `does not name "b"`, `Bearer error="insufficient_scope"`},
		"second channel":   {"GET /events?channel=a&channel=news&token=" + good + tail + "\r\n", "403", `does not name "news"`, `Bearer error="insufficient_scope"`},
		"expired":          {"GET /events?channel=a&token=" + tokenFor(t, -time.Minute, "a") + tail + "\r\n", "401", `claim "exp"`, `Bearer error="invalid_token"`},
		"within the grace": {"GET /events?channel=a&token=" + tokenFor(t, -5*time.Second, "a") + tail + "\r\n", "", "", ""},
		"signature":        {"GET /events?channel=a&token=" + good[:len(good)-4] + "AAAA" + tail + "\r\n", "401", "signature", `Bearer error="invalid_token"`},
		"without exp":      {"GET /events?channel=a&token=" + sign(t, jwt.MapClaims{"channels": []string{"a"}}) + tail + "\r\n", "401", `claim "exp"`, `Bearer error="invalid_token"`},
		"garbage":          {"GET /events?channel=a&token=%00%0d%0aX" + tail + "\r\n", "401", "token", `Bearer error="invalid_token"`},
	} {
		f := newGuarded(t)
		id, c := f.request(tt.request)
		if c.out.Len() == 0 {
			if f.clients.table.At(id).phase != asking || !c.awaited {
				t.Errorf("%s: no answer, and nothing is under way", name)
				continue
			}
			f.judge(1)
		}
		if tt.status == "" {
			if !c.held {
				t.Errorf("%s: %q", name, c.out.String())
			}
			continue
		}
		all, bodies := responses(t, c.out.String())
		if len(all) != 1 || !strings.HasPrefix(all[0].Status, tt.status) || !strings.Contains(bodies[0], tt.body) || all[0].Header.Get("WWW-Authenticate") != tt.challenge {
			t.Errorf("%s: %q, want %s with %q and %q", name, c.out.String(), tt.status, tt.body, tt.challenge)
		}
		if strings.ContainsAny(strings.TrimSuffix(bodies[0], "\n"), "\r\n\x00") {
			t.Errorf("%s: the answer is not one line: %q", name, bodies[0])
		}
	}
}

// A page that is allowed only because every page is does not get in by the cookie that the browser sends for it.
func TestCookieIsNoTokenForEveryPage(t *testing.T) {
	cookie := "Cookie: pushd-token=" + tokenFor(t, time.Hour, "a") + "\r\n"
	for _, allow := range []string{"*", "https://app.example"} {
		f := newGuarded(t)
		f.clients.opts.Origins = withOrigins(t, allow).Origins
		f.clients.corsFields = corsFields(f.clients.opts.Origins)
		_, c := f.request("GET /events?channel=a HTTP/1.1\r\nHost: x\r\nOrigin: https://app.example\r\n" + cookie + "\r\n")
		if c.out.Len() == 0 {
			f.judge(1)
		}
		if c.held != (allow != "*") {
			t.Errorf("--allow-origin %s: %q", allow, c.out.String())
		}
	}
}

// Requests behind one whose token is being checked wait for it, and a connection that leaves meanwhile is forgotten.
func TestRequestsWaitForTheirToken(t *testing.T) {
	f := newGuarded(t)
	get := "GET /poll?channel=a&token=" + tokenFor(t, time.Hour, "a") + host
	id, c := f.request("GET /health" + host + get + "GET /health" + host)
	if got, _ := responses(t, c.out.String()); len(got) != 1 {
		t.Fatalf("%d answers before the check, want 1", len(got))
	}
	f.write(id, "GET /ready"+host)
	gone, _ := f.request(get)
	f.end(gone, false, stats.CloseClient)
	f.judge(2)
	if !c.held {
		t.Fatalf("the poll is not held: %q", c.out.String())
	}
	f.clients.Due(id)
	f.write(id, "")
	got, bodies := responses(t, c.out.String())
	if len(got) != 4 || got[1].StatusCode != 204 || bodies[2] != "ok\n" || bodies[3] != "ready\n" {
		t.Errorf("answers %q", c.out.String())
	}
	if n := f.clients.asks.Len(); n != 0 || f.clients.asked != 0 || f.clients.expiries.Len() != 0 {
		t.Errorf("%d asks, %d asked, %d expiries are left", n, f.clients.asked, f.clients.expiries.Len())
	}
}

// However many ask at a time, each gets its turn, and only so many tokens are copied.
func TestManyAskForAToken(t *testing.T) {
	f := newStalled(t)
	get := "GET /events?channel=a&token=" + tokenFor(t, time.Hour, "a") + host
	const n = 3*maxAsked + 7
	var ids []uint32
	for range n {
		id, _ := f.request(get)
		ids = append(ids, id)
	}
	if len(f.clients.opts.Gate.questions) != maxAsked || len(f.clients.queue) != n-maxAsked {
		t.Fatalf("%d asked, %d wait", len(f.clients.opts.Gate.questions), len(f.clients.queue))
	}
	for _, id := range ids[maxAsked-5 : maxAsked+5] { // some who asked, some who wait
		f.end(id, false, stats.CloseClient)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go f.clients.opts.Gate.Run(ctx)
	f.judge(n - 5)
	for i, id := range ids {
		if left := i >= maxAsked-5 && i < maxAsked+5; !left && !f.conns[id].held {
			t.Errorf("connection %d is not held", i)
		}
	}
	if f.clients.asks.Len() != 0 || f.clients.asked != 0 || len(f.clients.queue) != 0 {
		t.Errorf("%d asks, %d asked, %d wait", f.clients.asks.Len(), f.clients.asked, len(f.clients.queue))
	}
}

// When those who are called up leave, or are turned away, their turn goes to the next.
func TestTurnToAskIsPassedOn(t *testing.T) {
	for name, meanwhile := range map[string]func(f *fakeTransport){
		"they leave": func(f *fakeTransport) {
			for id, c := range f.conns {
				if a := f.clients.asks.Find(id); c.again && !c.over && a.state == notAsked {
					f.end(id, false, stats.CloseClient)
				}
			}
		},
		"pushd stops": func(f *fakeTransport) { f.clients.Task(&Drain{Left: 1}) },
	} {
		f := newStalled(t)
		get := "GET /events?channel=a&token=" + tokenFor(t, time.Hour, "a") + host
		for range 2*maxAsked + 100 {
			f.request(get)
		}
		for range maxAsked {
			q := <-f.clients.opts.Gate.questions
			v := &verdict{id: q.id, ticket: q.ticket}
			v.claims, v.err = f.clients.opts.Gate.opts.Key.Verify(q.token, time.Now(), 0)
			f.clients.Task(v)
		}
		f.clients.BatchEnd() // calls up as many
		meanwhile(f)
		f.settle()
		asking := len(f.clients.opts.Gate.questions)
		if want := min(maxAsked, 100); name == "they leave" && (asking != want || f.clients.asked != want) {
			t.Errorf("%s: %d ask (%d), %d wait", name, asking, f.clients.asked, len(f.clients.queue))
		}
		if name != "pushd stops" {
			continue
		}
		if len(f.clients.queue) > 0 || f.clients.asked > 0 {
			t.Errorf("%s: %d ask, %d wait", name, f.clients.asked, len(f.clients.queue))
		}
		for id, c := range f.conns {
			if c.out.Len() == 0 {
				t.Errorf("%s: connection %d has no answer", name, id)
			}
		}
	}
}

// The deadline of a head that came in time does not end a request whose token took long.
func TestDeadlineWhileATokenIsChecked(t *testing.T) {
	f := newGuarded(t)
	id, c := f.request("GET /events?channel=a&token=" + tokenFor(t, time.Hour, "a") + host)
	c.armed = 0
	f.clients.Task(<-f.verdicts)
	if c.armed != testOptions.HeaderTimeout {
		t.Errorf("deadline %v, want a new one of %v", c.armed, testOptions.HeaderTimeout)
	}
	f.settle()
	if !c.held {
		t.Errorf("connection %d: %q", id, c.out.String())
	}
}

// A connection lasts as long as its token and the grace, whatever it is.
func TestConnectionEndsWithItsToken(t *testing.T) {
	tok := tokenFor(t, -8*time.Second, "a") // 2 s of the grace are left
	f := newGuarded(t)
	for _, tt := range []struct {
		request, want string
		over          bool
		why           stats.CloseReason
	}{
		{"GET /events?channel=a&token=" + tok + host, "0\r\n\r\n", true, stats.CloseExpired},
		{"GET /stream?channel=a&token=" + tok + " HTTP/1.0\r\n\r\n", "", true, stats.CloseExpired},
		{"GET /poll?channel=a&token=" + tok + host, "HTTP/1.1 204 No Content\r\n", false, 0},
		{"GET /ws?channel=a&token=" + tok + " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
			"\x88\x0f\x03\xf0token expired", true, stats.CloseExpired},
	} {
		id, c := f.request(tt.request)
		f.judge(1)
		if c.armed > 2*time.Second {
			t.Errorf("%.20s: the deadline is %v, want at most 2s", tt.request, c.armed)
		}
		f.clients.Due(id) // too early: nothing happens
		if c.over || c.armed > 2*time.Second {
			if !strings.HasPrefix(tt.request, "GET /poll") {
				t.Errorf("%.20s: over=%v, deadline %v before the token expires", tt.request, c.over, c.armed)
			}
		}
		if !strings.HasPrefix(tt.request, "GET /poll") {
			c.out.Reset()
			*f.clients.expiries.At(id) = time.Now().Unix()
			f.clients.Due(id)
		}
		if !strings.HasPrefix(c.out.String(), tt.want) || c.over != tt.over || c.over && c.why != tt.why {
			t.Errorf("%.20s: %q, over=%v (%v)", tt.request, c.out.String(), c.over, c.why)
		}
	}
	if n := f.clients.expiries.Len(); n != 0 {
		t.Errorf("%d expiries are left", n)
	}
}
