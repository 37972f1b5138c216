package http1

import (
	"errors"
	"io"
	"strconv"
)

const (
	maxChunkDigits  = 15      // hexadecimal digits of a chunk size, so that it fits an int64
	maxChunkLine    = 256     // bytes of a chunk's line with its extensions
	maxTrailerBytes = 4 << 10 // bytes of the trailer section
)

// FinalChunk ends a chunked body without trailers.
const FinalChunk = "0\r\n\r\n"

// ChunkEnd follows the data of a chunk whose head AppendChunkHead wrote.
const ChunkEnd = "\r\n"

// AppendChunk appends data as one chunk (RFC 9112 7.1). Empty data appends nothing, since an empty chunk would end
// the body.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = AppendChunkHead(dst, len(data))
	dst = append(dst, data...)
	return append(dst, ChunkEnd...)
}

// AppendChunkHead appends what precedes n bytes of data in a chunk; ChunkEnd must follow the data. n is above zero.
func AppendChunkHead(dst []byte, n int) []byte {
	if n <= 0 {
		panic("http1: chunk without data")
	}
	dst = strconv.AppendInt(dst, int64(n), 16)
	return append(dst, "\r\n"...)
}

// chunkPhase is what a ChunkReader expects next.
type chunkPhase uint8

const (
	chunkSize       chunkPhase = iota // a digit of the size, or what ends it
	chunkSpace                        // white space before an extension, or the line's end
	chunkExt                          // an extension, which is skipped
	chunkLineLF                       // the LF of the chunk's line
	chunkData                         // data
	chunkDataCR                       // the CR after the data
	chunkDataLF                       // the LF after the data
	trailerStart                      // the first byte of a trailer line, or the CR of the empty line
	trailerName                       // a trailer's name
	trailerValue                      // a trailer's value, which is skipped
	trailerLF                         // the LF of a trailer line
	trailerFinal                      // the LF of the empty line
	chunkedBodyDone                   // nothing
)

// ChunkReader takes the chunked transfer coding (RFC 9112 7.1) off a body. It keeps its state between pieces, so
// nothing it has used must be kept by the caller. The zero value stands at the beginning of a body. Chunk extensions
// and trailers are checked, bounded and skipped. Lines must end in CR LF.
type ChunkReader struct {
	left  int64 // bytes of data still to come in this chunk, or the size as far as it was read
	line  int32 // bytes of the current line, or of the trailer section
	phase chunkPhase
}

// Next returns the next piece of data in b and the number of bytes of b that it used, and must then be called with the
// rest. Data aliases b and is not empty when err is nil. The error is ErrShort when all of b was used and the body goes
// on, io.EOF when the body has ended, or an *Error, after which the reader must not be used.
func (r *ChunkReader) Next(b []byte) (data []byte, n int, err error) {
	for n < len(b) {
		if r.phase == chunkData {
			data = b[n:]
			if int64(len(data)) >= r.left {
				data = data[:r.left]
				r.phase = chunkDataCR
			}
			r.left -= int64(len(data))
			return data[:len(data):len(data)], n + len(data), nil
		}
		if r.phase == chunkedBodyDone {
			return nil, n, io.EOF
		}
		if err := r.step(b[n]); err != nil {
			return nil, n, err
		}
		n++
	}
	if r.phase == chunkedBodyDone {
		return nil, n, io.EOF
	}
	return nil, n, ErrShort
}

// ErrContent is what EmptyChunked says of a body that is not empty.
var ErrContent = errors.New("http1: the chunked body is not empty")

// EmptyChunked returns the size of the chunked body at the beginning of b, which must have no
// data: its last chunk and its trailers. The error is ErrShort while more bytes are needed,
// ErrContent when there is data, or an *Error.
func EmptyChunked(b []byte) (n int, err error) {
	var r ChunkReader
	switch _, n, err = r.Next(b); {
	case err == io.EOF:
		return n, nil
	case err == nil, err == ErrShort && r.left > 0: // the data need not have come
		return 0, ErrContent
	}
	return 0, err
}

// step takes one byte outside data.
func (r *ChunkReader) step(c byte) error {
	switch {
	case r.phase >= trailerStart:
		return r.trailer(c)
	case r.phase >= chunkDataCR:
		return r.dataEnd(c)
	}
	return r.sizeLine(c)
}

func (r *ChunkReader) sizeLine(c byte) error {
	if r.line++; r.line > maxChunkLine {
		return errChunkLine
	}
	if r.phase == chunkLineLF {
		return r.sizeLineEnd(c)
	}
	if r.phase == chunkSize && classes[c]&hexByte != 0 {
		if r.line > maxChunkDigits {
			return errChunkTooLarge
		}
		r.left = r.left<<4 | int64(hexValue(c))
		return nil
	}
	switch {
	case r.line == 1:
		return errChunkSize
	case c == '\r':
		r.phase = chunkLineLF
	case r.phase == chunkExt:
		if c < ' ' && c != '\t' || c == 0x7f {
			return errChunkByte
		}
	case c == ';': // with white space before it or without (RFC 9112, 7.1.1)
		r.phase = chunkExt
	case c == ' ' || c == '\t':
		r.phase = chunkSpace
	default:
		return errChunkSize
	}
	return nil
}

func (r *ChunkReader) sizeLineEnd(c byte) error {
	if c != '\n' {
		return errChunkEnd
	}
	r.line = 0
	r.phase = chunkData
	if r.left == 0 {
		r.phase = trailerStart
	}
	return nil
}

func (r *ChunkReader) dataEnd(c byte) error {
	switch {
	case r.phase == chunkDataCR && c == '\r':
		r.phase = chunkDataLF
	case r.phase == chunkDataLF && c == '\n':
		r.phase = chunkSize
	default:
		return errChunkEnd
	}
	return nil
}

func (r *ChunkReader) trailer(c byte) error {
	if r.line++; r.line > maxTrailerBytes {
		return errTrailerLarge
	}
	switch r.phase {
	case trailerStart:
		switch {
		case c == '\r':
			r.phase = trailerFinal
		case classes[c]&tokenByte != 0:
			r.phase = trailerName
		default:
			return errTrailer
		}
	case trailerName:
		switch {
		case c == ':':
			r.phase = trailerValue
		case classes[c]&tokenByte == 0:
			return errTrailer
		}
	case trailerValue:
		switch {
		case c == '\r':
			r.phase = trailerLF
		case c < ' ' && c != '\t', c == 0x7f:
			return errTrailer
		}
	default: // trailerLF, trailerFinal
		if c != '\n' {
			return errTrailer
		}
		if r.phase == trailerFinal {
			r.phase = chunkedBodyDone
			return nil
		}
		r.phase = trailerStart
	}
	return nil
}

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return lower(c) - 'a' + 10
}
