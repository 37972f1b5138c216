package ws

import (
	"slices"
	"strings"
	"testing"
)

func TestNothingAllocates(t *testing.T) {
	check := func(name string, f func()) {
		t.Helper()
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times, want 0", name, n)
		}
	}
	buf := make([]byte, 0, 1024)
	payload, long := []byte("some text"), strings.Repeat("x", 200)
	key := [4]byte{1, 2, 3, 4}
	check("AppendFrame", func() { AppendFrame(AppendFrame(buf, Text, payload), Binary, long) })
	check("AppendMasked", func() { AppendMasked(AppendMasked(buf, Text, payload, key), Binary, long, key) })
	check("AppendClose", func() { AppendClose(AppendClose(buf, CodeGoingAway, payload), CodeTooBig, "too big") })
	check("AppendMaskedClose", func() { AppendMaskedClose(buf, CodeGoingAway, payload, key) })
	check("CheckClose", func() { _ = CheckClose(CodeGoingAway, payload) })
	check("AppendUpgrade", func() { AppendUpgrade(buf, []byte(sampleKey), nil) })

	names := [][]byte{[]byte("Host"), []byte("Sec-WebSocket-Version"), []byte("Sec-WebSocket-Key"),
		[]byte("Upgrade"), []byte("Sec-WebSocket-Protocol")}
	offer := []byte("eyJhbGciOiJIUzI1NiJ9.e30.c2ln, v12.stomp, chat")
	values := [][]byte{[]byte("a"), []byte(Version), []byte(sampleKey), []byte("dGhlIHNhbXBsZSBub25j-Q==")}
	get, websocket := []byte("GET"), []byte("WebSocket")
	for _, keyAt := range []int{2, 3} {
		check("Handshake", func() {
			h := Handshake{Method: get, Minor: 1, Upgrade: true}
			h.Add(names[3], websocket)
			h.Add(names[4], offer)
			h.Add(names[0], values[0])
			h.Add(names[1], values[1])
			h.Add(names[2], values[keyAt])
			_ = h.Check()
		})
	}

	work := make([]byte, 0, 4096)
	for _, tt := range goodStreams {
		if len(tt.stream) > cap(work) {
			t.Fatalf("%s: %d bytes", tt.rule, len(tt.stream))
		}
		check("Next: "+tt.rule, func() { drain(append(work, tt.stream...), testLimit) })
	}
	for _, tt := range badStreams {
		check("Next: "+tt.rule, func() { drain(append(work, tt.stream...), testLimit) })
	}
	bad := masked(fin|text, badTexts[len(badTexts)-1])
	check("Next of a bad text", func() { drain(append(work, bad...), testLimit) })
}

// drain reads stream, which is unmasked by that, to the end.
func drain(stream []byte, limit int) (events int, err error) {
	var r Reader
	for {
		_, n, err := r.Next(stream, limit)
		if err != nil {
			return events, err
		}
		stream = stream[n:]
		events++
	}
}

func BenchmarkReader(b *testing.B) {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	for _, bb := range []struct {
		name  string
		frame []byte
	}{
		{"text of 32 bytes", AppendMasked(nil, Text, strings.Repeat("x", 32), key)},
		{"text of 32 bytes, mask 0", AppendMasked(nil, Text, strings.Repeat("x", 32), [4]byte{})},
		{"ping", AppendMasked(nil, Ping, "12345678", key)},
		{"text of 64 KiB", AppendMasked(nil, Text, strings.Repeat("x", 64<<10), key)},
		{"text of 63 KiB, not ASCII", AppendMasked(nil, Text, strings.Repeat(euro, 21<<10), key)},
		{"binary of 64 KiB", AppendMasked(nil, Binary, strings.Repeat("x", 64<<10), key)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			frame := slices.Clone(bb.frame)
			var r Reader
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				copy(frame, bb.frame) // Next has unmasked it
				if _, n, err := r.Next(frame, 1<<20); err != nil || n != len(frame) {
					b.Fatal(n, err)
				}
			}
		})
	}
}

// BenchmarkReaderByteByByte shows that the cost of a byte stays the same when a peer sends one at a time.
func BenchmarkReaderByteByByte(b *testing.B) {
	whole := AppendMasked(nil, Text, strings.Repeat(euro, 1000), [4]byte{1, 2, 3, 4})
	frame := make([]byte, len(whole))
	b.ReportAllocs()
	for b.Loop() {
		copy(frame, whole)
		var r Reader
		for begin, end := 0, 1; end <= len(frame); end++ {
			_, n, err := r.Next(frame[begin:end], 1<<20)
			if begin += n; err != nil && err != ErrShort {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(frame)), "ns/byte")
}

func BenchmarkAppendFrame(b *testing.B) {
	for _, bb := range []struct {
		name string
		size int
	}{{"32", 32}, {"64KiB", 64 << 10}} {
		b.Run(bb.name, func(b *testing.B) {
			payload, buf := strings.Repeat("x", bb.size), make([]byte, 0, 70000)
			b.SetBytes(int64(bb.size))
			b.ReportAllocs()
			for b.Loop() {
				AppendFrame(buf, Text, payload)
			}
		})
	}
}

func BenchmarkHandshake(b *testing.B) {
	buf, key, version := make([]byte, 0, 256), []byte(sampleKey), []byte(Version)
	get, websocket := []byte("GET"), []byte("websocket")
	nameOfUpgrade := []byte("Upgrade")
	nameOfKey, nameOfVersion := []byte("Sec-WebSocket-Key"), []byte("Sec-WebSocket-Version")
	b.ReportAllocs()
	for b.Loop() {
		h := Handshake{Method: get, Minor: 1, Upgrade: true}
		h.Add(nameOfUpgrade, websocket)
		h.Add(nameOfKey, key)
		h.Add(nameOfVersion, version)
		if err := h.Check(); err != nil {
			b.Fatal(err)
		}
		AppendUpgrade(buf, h.Key(), h.Protocol())
	}
}
