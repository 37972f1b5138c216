package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"holdfast/pkg/stats"
)

func sampleSnapshot() *Snapshot {
	return &Snapshot{ID: 5, Snapshot: stats.Snapshot{
		Connections:   stats.Connections{Total: 3, Stream: 1, Events: 1, HTTP: 1},
		Accepted:      7,
		Closed:        map[string]uint64{"client": 4},
		Channels:      1,
		Subscriptions: 2,
		Published:     1 << 40,
		Dropped:       map[string]uint64{},
		CPUSeconds:    0.25,
		FDs:           stats.FDs{Used: 20, Limit: 1024},
		UptimeSeconds: 1.5,
		PID:           4242,
		Version:       "1.0.0",
		Loops:         []stats.LoopSnapshot{{Connections: 3, Accepted: 7, QueuedBytes: -1}},
	}}
}

// roundTrip encodes and decodes one body.
func roundTrip[B Body](t *testing.T, typ Type, want B) {
	t.Helper()
	b := AppendCold([]byte("before"), typ, &want)
	m := message(t, b[len("before"):])
	var got B
	if err := ParseCold(m, &got); m.Type != typ || err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseCold(AppendCold) = %d, %+v, %v, want %d, %+v", m.Type, got, err, typ, want)
	}
}

func TestColdRoundTrip(t *testing.T) {
	roundTrip(t, TypeHello, Hello{Version: 1, Program: "pushd 1", Role: RoleStats, PID: 1, MaxFrame: 2, MaxMessage: 3, Features: []string{"a"}})
	roundTrip(t, TypeError, Failure{Code: Busy, Text: "full", ID: 1 << 63, Fatal: true})
	roundTrip(t, TypePing, Request{ID: 9})
	roundTrip(t, TypeStatsSubscribe, Subscribe{ID: 9, IntervalMS: 1000})
	roundTrip(t, TypeStatsSnapshot, *sampleSnapshot())
}

func TestColdUnknownKeysAreIgnored(t *testing.T) {
	payload := join(array(3), num(3), []byte{codeFixMap | 3}, text("new"), array(2), num(1), num(2), text("id"), num(7),
		text("other"), []byte{codeFixMap | 1}, text("a"), text("b"), text("trailing element"))
	m, err := ParseMessage(payload)
	if err != nil {
		t.Fatal(err)
	}
	var r Request
	if err := ParseCold(m, &r); err != nil || r.ID != 7 {
		t.Errorf("ParseCold = %+v, %v, want id 7", r, err)
	}
}

func TestBadColdMessages(t *testing.T) {
	for name, payload := range map[string][]byte{
		"no body":        join(array(1), num(3)),
		"nil":            join(array(2), num(3), []byte{codeNil}),
		"an array":       join(array(2), num(3), array(1), num(1)),
		"id a string":    join(array(2), num(3), []byte{codeFixMap | 1}, text("id"), text("x")),
		"id cut":         join(array(2), num(3), []byte{codeFixMap | 1}, text("id"), []byte{codeMap16}),
		"key cut":        join(array(2), num(3), []byte{codeFixMap | 1, codeFixStr | 5}, []byte("id")),
		"huge map":       join(array(2), num(3), []byte{codeMap32, 255, 255, 255, 255}),
		"huge string":    join(array(2), num(3), []byte{codeFixMap | 1}, text("id"), []byte{codeStr32, 255, 255, 255, 255}),
		"bytes behind":   join(array(2), num(3), []byte{codeFixMap}, num(1)),
		"nested deep":    join(array(2), num(3), []byte{codeFixMap | 1}, text("x"), []byte(strings.Repeat("\x91", 5000)), num(1)),
		"the never byte": join(array(2), num(3), []byte{codeFixMap | 1}, text("x"), []byte{codeNever}),
	} {
		m, err := ParseMessage(payload)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var r Request
		if err := ParseCold(m, &r); !errors.Is(err, &Error{Code: BadFrame}) {
			t.Errorf("%s: ParseCold = %+v, %v, want bad frame", name, r, err)
		}
	}
}

func TestRequestID(t *testing.T) {
	for name, c := range map[string]struct {
		payload []byte
		want    uint64
		ok      bool
	}{
		"second element": {join(array(3), num(99), num(7), text("x")), 7, true},
		"key of a map":   {join(array(2), num(99), []byte{codeFixMap | 1}, text("id"), num(8)), 8, true},
		"none":           {join(array(1), num(99)), 0, true},
		"a string":       {join(array(2), num(99), text("7")), 0, true},
		"broken":         {join(array(3), num(99), num(7), []byte{codeNever}), 0, false},
	} {
		m, err := ParseMessage(c.payload)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if id, err := m.RequestID(); id != c.want || (err == nil) != c.ok {
			t.Errorf("%s: RequestID = %d, %v, want %d, ok %v", name, id, err, c.want, c.ok)
		}
	}
}

func TestReadHello(t *testing.T) {
	want := Hello{Version: 1, Program: "pushpub 1", Role: RolePublish}
	stream := append(AppendHello(nil, &want), AppendPublish(nil, 1, 0, bareItem())...)
	r := NewReader(bytes.NewReader(stream), 1<<20)
	got, err := ReadHello(r)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("ReadHello = %+v, %v, want %+v", got, err, want)
	}
	if p, err := r.Next(); err != nil || len(p) < 300 {
		t.Errorf("the frame behind the hello = %d bytes, %v", len(p), err)
	}
}

func TestReadHelloRefuses(t *testing.T) {
	long := Hello{Version: 1, Program: strings.Repeat("x", MaxHello)}
	refusal := AppendCold([]byte(Magic), TypeError, &Failure{Code: Busy, Text: "full"})
	for name, c := range map[string]struct {
		stream []byte
		want   error
	}{
		"nothing":         {nil, io.EOF},
		"half the magic":  {[]byte("HF"), io.ErrUnexpectedEOF},
		"garbage":         {[]byte("GET / HTTP/1.1\r\n\r\n"), &Error{Code: BadHello}},
		"half a hello":    {AppendHello(nil, &Hello{})[:20], io.ErrUnexpectedEOF},
		"a long hello":    {AppendHello(nil, &long), &Error{Code: FrameTooLarge}},
		"another message": {AppendPublish([]byte(Magic), 1, 0, &publishItem), &Error{Code: BadHello}},
		"not a message":   {append([]byte(Magic), frame("\xc1")...), &Error{Code: BadFrame}},
		"no map":          {append([]byte(Magic), frame("\x92\x01\x01")...), &Error{Code: BadFrame}},
		"an error":        {refusal, &Error{Code: Busy}},
	} {
		if h, err := ReadHello(NewReader(bytes.NewReader(c.stream), 1<<20)); !errors.Is(err, c.want) {
			t.Errorf("%s: ReadHello = %+v, %v, want %v", name, h, err, c.want)
		}
	}
}

var publishItem = *bareItem()

func TestHelloOfExactlyTheMaximum(t *testing.T) {
	h := Hello{Version: 1}
	h.Program = strings.Repeat("x", MaxHello-len(AppendHello(nil, &h))-2) // the longer text needs 2 more bytes of length
	b := AppendHello(nil, &h)
	if len(b) != MaxHello {
		t.Fatalf("the hello has %d bytes, want %d", len(b), MaxHello)
	}
	if _, err := ReadHello(NewReader(bytes.NewReader(b), 1<<20)); err != nil {
		t.Errorf("ReadHello of %d bytes: %v", len(b), err)
	}
}

func FuzzCold(f *testing.F) {
	f.Add(AppendCold(nil, TypeStatsSnapshot, sampleSnapshot())[headLen:])
	f.Add(AppendCold(nil, TypeHello, &Hello{Version: 1, Features: []string{"x"}})[headLen:])
	f.Add(AppendCold(nil, TypeError, &Failure{Code: 3, Text: "t", ID: 4, Fatal: true})[headLen:])
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := ParseMessage(payload)
		if err != nil {
			return
		}
		again(t, m, TypeHello, &Hello{}, &Hello{})
		again(t, m, TypeError, &Failure{}, &Failure{})
		again(t, m, TypePing, &Request{}, &Request{})
		again(t, m, TypeStatsSubscribe, &Subscribe{}, &Subscribe{})
		if m.fields > 0 {
			ParseCold(m, &Snapshot{}) //nolint:errcheck // it must not panic; NaN and empty maps forbid a comparison
		}
		m.RequestID() //nolint:errcheck // it must not panic
	})
}

// again decodes m into first, and that encoded into second.
func again[B Body](t *testing.T, m Message, typ Type, first, second *B) {
	t.Helper()
	if ParseCold(m, first) != nil {
		return
	}
	b := AppendCold(nil, typ, first)
	if err := ParseCold(message(t, b), second); err != nil || !bytes.Equal(AppendCold(nil, typ, second), b) {
		t.Fatalf("decode(encode(%+v)) = %+v, %v", *first, *second, err)
	}
}

func TestSocketPaths(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want []string
	}{
		{nil, []string{"/run/pushd/pushd.sock", "/var/tmp/pushd-1000/pushd.sock"}},
		{map[string]string{"XDG_RUNTIME_DIR": "/run/user/1000"},
			[]string{"/run/pushd/pushd.sock", "/run/user/1000/pushd/pushd.sock", "/var/tmp/pushd-1000/pushd.sock"}},
		{map[string]string{"XDG_RUNTIME_DIR": "relative"}, []string{"/run/pushd/pushd.sock", "/var/tmp/pushd-1000/pushd.sock"}},
		{map[string]string{"PUSHD_SOCKET": "my.sock", "XDG_RUNTIME_DIR": "/run/user/1000"}, []string{"my.sock"}},
	} {
		got := SocketPaths(func(k string) string { return c.env[k] }, 1000, "/var/tmp")
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("SocketPaths(%v) = %q, want %q", c.env, got, c.want)
		}
	}
}
