package sse

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// indexBreak returns the index of the first CR or LF in s, or len(s). It looks at eight bytes at a time: two searches
// with IndexByte would cost the square of the length when one of the two never occurs.
func indexBreak[T string | []byte](s T) int {
	for i := 0; i < len(s); i++ {
		for i+8 <= len(s) {
			x := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
				uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
			if (x-lowBits*('\r'+1))&^x&highBits != 0 { // a byte of at most CR
				break
			}
			i += 8
		}
		// The hit is among the next eight bytes; it may be a tab, and then the search goes on behind it.
		for ; i < len(s); i++ {
			if s[i] <= '\r' {
				break
			}
		}
		if i < len(s) && (s[i] == '\n' || s[i] == '\r') {
			return i
		}
	}
	return len(s)
}
