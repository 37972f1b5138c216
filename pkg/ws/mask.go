package ws

import (
	"encoding/binary"
	"math/bits"
)

// maskBytes masks b in place, or unmasks it, which is the same (RFC 6455 5.3). Key[0] is for b[0].
func maskBytes(b []byte, key [4]byte) {
	word := binary.LittleEndian.Uint32(key[:])
	if word == 0 {
		return
	}
	k := uint64(word)<<32 | uint64(word)
	for len(b) >= 32 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k)
		binary.LittleEndian.PutUint64(b[8:], binary.LittleEndian.Uint64(b[8:])^k)
		binary.LittleEndian.PutUint64(b[16:], binary.LittleEndian.Uint64(b[16:])^k)
		binary.LittleEndian.PutUint64(b[24:], binary.LittleEndian.Uint64(b[24:])^k)
		b = b[32:]
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(k)
		k = bits.RotateLeft64(k, -8)
	}
}

// rotateKey returns the key for the bytes that follow n masked ones.
func rotateKey(key [4]byte, n int) (rest [4]byte) {
	word := binary.LittleEndian.Uint32(key[:])
	binary.LittleEndian.PutUint32(rest[:], bits.RotateLeft32(word, -8*(n&3)))
	return rest
}
