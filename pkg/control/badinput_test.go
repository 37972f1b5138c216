package control

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/wire"
)

// rawFrame is a frame around any bytes.
func rawFrame(payload string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

func TestForeignBytesAreAnswered(t *testing.T) {
	path := startServer(t, Options{Publisher: &fakeHub{}})
	for name, c := range map[string]struct {
		sent []byte
		want wire.Code
	}{
		"HTTP":            {[]byte("POST /publish/ HTTP/1.1\r\nHost: x\r\n\r\n"), wire.BadHello},
		"zeros":           {make([]byte, 100), wire.BadHello},
		"one byte":        {[]byte("x"), wire.BadHello},
		"a megabyte":      {bytes.Repeat([]byte("garbage "), 1<<17), wire.BadHello},
		"long hello":      {append([]byte(wire.Magic), 0, 1, 0, 0), wire.FrameTooLarge},
		"huge hello":      {append([]byte(wire.Magic), 255, 255, 255, 255), wire.FrameTooLarge},
		"publish first":   {wire.AppendPublish([]byte(wire.Magic), 1, 0, streamItem("a", 1)), wire.BadHello},
		"not msgpack":     {append([]byte(wire.Magic), rawFrame("\xc1\xc1")...), wire.BadFrame},
		"hello is no map": {append([]byte(wire.Magic), rawFrame("\x92\x01\xa1x")...), wire.BadFrame},
		"empty frame":     {append([]byte(wire.Magic), rawFrame("")...), wire.BadFrame},
		"version 0":       {wire.AppendHello(nil, &wire.Hello{}), wire.VersionUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			p := connect(t, path)
			go p.Write(c.sent) //nolint:errcheck // the server may stop reading
			if err := p.frames.Magic(); err != nil {
				t.Fatalf("Magic: %v", err)
			}
			if f := p.failure(); f.Code != c.want || !f.Fatal || f.Text == "" {
				t.Errorf("failure = %+v, want code %d, fatal, with a text", f, c.want)
			}
			p.closed()
		})
	}
}

// A number that cannot be served is refused by name, and the connection goes on.
func TestNumberOutOfRangeIsABadRequest(t *testing.T) {
	p := greet(t, startServer(t, Options{Publisher: &fakeHub{}}))
	const big = "\xcf\x80\x00\x00\x00\x00\x00\x00\x00" // 2^63
	for name, message := range map[string]string{
		"interval_ms": "\x92\x21\x82\xa2id\x07\xabinterval_ms" + big,
		"id":          "\x92\x20\x81\xa2id\xff",
	} {
		p.send(rawFrame(message))
		if f := p.failure(); f.Code != wire.BadRequest || f.Fatal || !strings.Contains(f.Text, name+" is ") ||
			name == "interval_ms" && f.ID != 7 {
			t.Errorf("%s out of range: failure %+v, want a bad request that names it", name, f)
		}
	}
	p.send(wire.AppendCold(nil, wire.TypePing, &wire.Request{ID: math.MaxUint64}))
	m := p.message()
	var pong wire.Request
	if err := wire.ParseCold(m, &pong); err != nil || m.Type != wire.TypePong || pong.ID != math.MaxUint64 {
		t.Errorf("ping with the highest id: type %d, %+v, %v, want its pong", m.Type, pong, err)
	}
}

func TestBrokenFramesEndTheConnectionAndNothingElse(t *testing.T) {
	f := &fakeHub{}
	path := startServer(t, Options{Publisher: f})
	neighbour := greet(t, path)
	good := wire.AppendItem(nil, streamItem("good", 1))
	for name, c := range map[string]struct {
		sent []byte
		want wire.Code
	}{
		"huge length":         {[]byte{255, 255, 255, 255}, wire.FrameTooLarge},
		"one above":           {binary.BigEndian.AppendUint32(nil, wire.MaxFrame+1), wire.FrameTooLarge},
		"garbage":             {rawFrame(strings.Repeat("\xc1", 50)), wire.BadFrame},
		"a map":               {rawFrame("\x80"), wire.BadFrame},
		"no type":             {rawFrame("\x90"), wire.BadFrame},
		"publish without id":  {rawFrame("\x92\x10\x01"), wire.BadFrame},
		"id a string":         {rawFrame("\x94\x10\xa11\x00" + string(good)), wire.BadFrame},
		"items a string":      {rawFrame("\x94\x11\x01\x00\xa1x"), wire.BadFrame},
		"2^32 items":          {rawFrame("\x94\x11\x01\x00\xdd\xff\xff\xff\xff"), wire.BadFrame},
		"item cut":            {rawFrame("\x94\x10\x01\x00" + string(good[:len(good)-1])), wire.BadFrame},
		"bytes behind":        {rawFrame("\x94\x10\x01\x00" + string(good) + "x"), wire.BadFrame},
		"nested without end":  {rawFrame("\x94\x10\x01\x00\x92" + strings.Repeat("\x91", 1<<19)), wire.BadFrame},
		"unknown and broken":  {rawFrame("\x92\x63\xc1"), wire.BadFrame},
		"stats id a string":   {rawFrame("\x92\x20\x81\xa2id\xa1x"), wire.BadFrame},
		"ping without a body": {rawFrame("\x91\x03"), wire.BadFrame},
	} {
		t.Run(name, func(t *testing.T) {
			p := greet(t, path)
			p.send(c.sent)
			var failure wire.Failure
			for {
				m := p.message()
				if m.Type == wire.TypeAckBatch {
					continue // of the items in front of the broken place
				}
				if err := wire.ParseCold(m, &failure); m.Type != wire.TypeError || err != nil {
					t.Fatalf("a message of type %d, %v", m.Type, err)
				}
				break
			}
			if failure.Code != c.want || !failure.Fatal || failure.Text == "" {
				t.Errorf("failure = %+v, want code %d, fatal, with a text", failure, c.want)
			}
			p.closed()
			neighbour.send(wire.AppendPublish(nil, 1, 0, streamItem("neighbour", 1)))
			neighbour.acks(1)
		})
	}
}

// What stands whole in front of a broken frame is published.
func TestFramesBeforeABrokenOneCount(t *testing.T) {
	f := &fakeHub{}
	p := greet(t, startServer(t, Options{Publisher: f}))
	p.send(append(wire.AppendPublish(nil, 1, 0, streamItem("a", 1)), rawFrame("\xc1")...))
	p.acks(1)
	if got := p.failure(); got.Code != wire.BadFrame {
		t.Errorf("failure = %+v", got)
	}
}

func TestUnknownFormatIsABadItem(t *testing.T) {
	f := &fakeHub{}
	p := greet(t, startServer(t, Options{Publisher: f}))
	item := "\x92\xa1c\x91\x93\x63\x00\xa1x" // ["c", [[99, 0, "x"]]]
	p.send(rawFrame("\x94\x10\x05\x00" + item))
	if a := p.acks(1); a[0].ID != 5 || a[0].Err == nil || a[0].Err.Code != wire.BadItem {
		t.Errorf("ack = %+v, want bad item", a[0])
	}
}

// heap is the memory in use after a collection, in bytes.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A client announces 100 MB; another sends items of a megabyte where a frame may have 100 MB. Neither makes the server keep
// more than a few of its bounds.
func TestHugeItems(t *testing.T) {
	path := startServer(t, Options{Publisher: &fakeHub{}})
	p := greet(t, path)
	go p.Write(wire.AppendPublish(nil, 1, 0, streamItem("a", 100_000_000))) //nolint:errcheck // the server stops reading
	if f := p.failure(); f.Code != wire.FrameTooLarge || !f.Fatal {
		t.Errorf("100 MB in a frame: %+v, want frame too large", f)
	}
	p.closed()

	path = startServer(t, Options{Publisher: &fakeHub{}, MaxFrame: 128 << 20, MaxMessage: 1 << 20})
	p = greet(t, path)
	go p.Write(wire.AppendPublish(nil, 2, 0, streamItem("a", 100_000_000))) //nolint:errcheck // the answer tells
	if a := p.acks(1); a[0].ID != 2 || a[0].Err == nil || a[0].Err.Code != wire.ItemTooLarge {
		t.Errorf("100 MB in an item: %+v, want item too large", a[0])
	}
	p.send(wire.AppendPublish(nil, 3, 0, streamItem("a", 1)))
	p.acks(1)
}

func TestAnnouncementsBuyNoMemory(t *testing.T) {
	path := startServer(t, Options{Publisher: &fakeHub{}, MaxFrame: 256 << 20})
	before := heap()
	for range 50 {
		p := greet(t, path)
		p.send(append(binary.BigEndian.AppendUint32(nil, 256<<20), 0x94, 0x11))
		p.send(wire.AppendCold(nil, wire.TypePing, &wire.Request{})) // part of the frame by now
	}
	if grown := int64(heap()) - int64(before); grown > 32<<20 {
		t.Errorf("50 announced frames of 256 MiB hold %d bytes", grown)
	}
}

// A client that sends and never reads is stopped by its own bound, whatever it sends.
func TestNeverReadingClientIsBounded(t *testing.T) {
	bad := &publish.Item{Channel: "\n"}
	var nils bytes.Buffer
	nils.WriteString("\x94\x11\x01\x00\xdc\xff\xff")
	nils.Write(bytes.Repeat([]byte{0xc0}, 0xffff))
	for name, c := range map[string]struct {
		frames []byte
		late   bool // the hub keeps what it gets
	}{
		"bad items":       {batchOf(1, 0, bad, bad, bad, bad), false},
		"nils as items":   {rawFrame(nils.String()), false},
		"good items":      {batchOf(1, 0, streamItem("a", 10), streamItem("b", 10)), false},
		"undelivered":     {batchOf(1, 0, streamItem("a", 1000), streamItem("b", 10)), true},
		"undelivered big": {batchOf(1, 0, streamItem("a", 500_000)), true},
		"pings":           {wire.AppendCold(nil, wire.TypePing, &wire.Request{ID: 1}), false},
		"stats requests":  {wire.AppendCold(nil, wire.TypeStatsRequest, &wire.Request{ID: 1}), false},
		"unknown":         {wire.AppendCold(nil, 99, &wire.Request{ID: 1}), false},
	} {
		t.Run(name, func(t *testing.T) {
			f := &discardHub{late: c.late}
			path := startServer(t, Options{Publisher: f})
			neighbour := greet(t, path)
			before := heap()
			p := greet(t, path)
			frames := bytes.Repeat(c.frames, max(1, 64<<10/len(c.frames)))
			sent, limit := 0, 64<<20
			for sent < limit {
				p.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)) //nolint:errcheck // it is open
				n, err := p.Write(frames)
				sent += n
				if err != nil {
					break
				}
			}
			if sent >= limit {
				t.Errorf("the server took %d bytes from a client that does not read", sent)
			}
			if grown := int64(heap()) - int64(before); grown > 16<<20 {
				t.Errorf("after %d bytes the server holds %d more bytes", sent, grown)
			}
			neighbour.send(wire.AppendCold(nil, wire.TypePing, &wire.Request{ID: 1}))
			neighbour.message()
			f.finish()
		})
	}
}

// discardHub forgets the items. When late is set it keeps the batches until finish.
type discardHub struct {
	late bool
	mu   sync.Mutex
	kept []*hub.Batch
}

func (d *discardHub) Publish(_ context.Context, b *hub.Batch) error {
	d.mu.Lock()
	late := d.late
	if late {
		d.kept = append(d.kept, b)
	}
	d.mu.Unlock()
	if !late {
		b.Done(b)
	}
	return nil
}

func (d *discardHub) finish() {
	d.mu.Lock()
	kept := d.kept
	d.kept, d.late = nil, false
	d.mu.Unlock()
	for _, b := range kept {
		b.Done(b)
	}
}

// A client that subscribes to statistics and does not read loses snapshots.
func TestSlowReaderOfStatsLosesSnapshots(t *testing.T) {
	path := startServer(t, Options{Publisher: &fakeHub{}})
	p := greet(t, path)
	before := heap()
	p.Conn.(*net.UnixConn).SetReadBuffer(4096) //nolint:errcheck // smaller is only faster
	p.send(wire.AppendCold(nil, wire.TypeStatsSubscribe, &wire.Subscribe{ID: 1, IntervalMS: 1}))
	time.Sleep(300 * time.Millisecond)
	if grown := int64(heap()) - int64(before); grown > 4<<20 {
		t.Errorf("snapshots that are not read hold %d bytes", grown)
	}
	p.message()
}
