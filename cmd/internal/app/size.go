package app

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes as an option's value: 65536, 64KiB, 64K, 1MiB, 2G. Its pointer is a cli.Generic.
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30},
	{"b", 1},
}

// ParseSize reads a size: a whole number of bytes, or one with a binary suffix in any case. K is the same as KiB. The
// decimal KB and MB are refused, because half of their users mean the binary ones.
func ParseSize(s string) (Size, error) {
	digits, unit := strings.ToLower(strings.TrimSpace(s)), int64(1)
	for _, u := range sizeUnits {
		if d, ok := strings.CutSuffix(digits, u.suffix); ok {
			digits, unit = strings.TrimSpace(d), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size: want bytes, or a number with KiB, MiB or GiB, such as 256KiB", s)
	}
	if int64(n) > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is too large for a size", s)
	}
	return Size(int64(n) * unit), nil
}

// Set reads s into z, for package cli.
func (z *Size) Set(s string) error {
	v, err := ParseSize(s)
	if err != nil {
		return err
	}
	*z = v
	return nil
}

// String returns the size in its largest whole unit. It reads back as the same size.
func (z *Size) String() string { return FormatSize(int64(*z)) }

// FormatSize writes bytes in the largest unit that leaves a whole number: 8KiB, 1MiB, 1000B.
func FormatSize(bytes int64) string {
	for i := 2; i >= 0; i-- {
		u := sizeUnits[i]
		if bytes != 0 && bytes%u.bytes == 0 {
			return fmt.Sprintf("%d%ciB", bytes/u.bytes, u.suffix[0]-'a'+'A')
		}
	}
	return fmt.Sprintf("%dB", bytes)
}
