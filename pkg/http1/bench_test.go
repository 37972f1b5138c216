package http1

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func BenchmarkRequestParse(b *testing.B) {
	for _, bb := range []struct{ name, head string }{{"curl", curlHead}, {"browser", browserHead}} {
		b.Run(bb.name, func(b *testing.B) {
			head := []byte(bb.head)
			var r Request
			b.SetBytes(int64(len(head)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Parse(head, 0, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRequestByteByByte shows whether the cost of a byte stays the same when the head grows.
func BenchmarkRequestByteByByte(b *testing.B) {
	for _, size := range []int{1 << 10, 8 << 10, 64 << 10} {
		for _, bb := range []struct{ name, line string }{{"lines", "A: b\r\n"}, {"value", ""}, {"target", ""}} {
			b.Run(bb.name+"/"+strconv.Itoa(size), func(b *testing.B) {
				head := []byte("GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", size) + "\r\n\r\n")
				if bb.name == "lines" {
					head = []byte("GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat(bb.line, size/len(bb.line)) + "\r\n")
				} else if bb.name == "target" {
					head = []byte("GET /" + strings.Repeat("x", size/2) + " HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", size/12) + "\r\n")
				}
				lim := Limits{MaxHead: 1 << 20, MaxFields: 1 << 20}
				var r Request
				for b.Loop() {
					if _, _, err := feed(&r, head, lim); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(head)), "ns/byte")
			})
		}
	}
}

func BenchmarkResponseParse(b *testing.B) {
	head := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n")
	var r Response
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Parse(head, 0, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChunkReader(b *testing.B) {
	for _, size := range []int{100, 16 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			chunk := AppendChunk(nil, make([]byte, size))
			var r ChunkReader
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				for p := chunk; ; {
					_, n, err := r.Next(p)
					if p = p[n:]; err == ErrShort {
						break
					}
				}
			}
		})
	}
}

func BenchmarkAppendUnescaped(b *testing.B) {
	value, buf := []byte("room%2F42+with%20some+text"), make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := AppendUnescaped(buf, value); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendChunk(b *testing.B) {
	data, buf := make([]byte, 100), make([]byte, 0, 128)
	b.ReportAllocs()
	for b.Loop() {
		AppendChunk(buf, data)
	}
}

func BenchmarkAppendDate(b *testing.B) {
	buf, at := make([]byte, 0, 64), time.Unix(1700000000, 0)
	b.ReportAllocs()
	for b.Loop() {
		AppendDate(buf, at)
	}
}
