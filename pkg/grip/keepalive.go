package grip

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
)

func (in *Instruct) parseKeepAlive(h http.Header) error {
	header := h.Get("Grip-Keep-Alive")
	if header == "" {
		return nil
	}
	value, params, ok := parseValue(header)
	if !ok {
		return nil // like any part with a broken quote
	}
	if value == "" {
		return fault("Grip-Keep-Alive cannot be empty", header)
	}
	k := KeepAlive{Interval: defaultTimeout}
	switch mode, _ := find(params, "mode"); mode {
	case "", "idle":
	case "interval":
		k.Mode = Interval
	default:
		return fault("no such Grip-Keep-Alive mode '"+show(mode)+"'", "")
	}
	if timeout, given := find(params, "timeout"); given {
		n, ok := parseSeconds(timeout)
		switch {
		case !ok:
			return fault("failed to parse Grip-Keep-Alive timeout value", timeout)
		case n < 0:
			return fault("Grip-Keep-Alive timeout has invalid value", timeout)
		}
		k.Interval = seconds(n, minKeepAlive)
	}
	format, _ := find(params, "format")
	var err error
	if k.Data, err = keepAliveData(value, format); err != nil {
		return err
	}
	if len(k.Data) > MaxKeepAliveBytes {
		return fault("Grip-Keep-Alive is longer than "+strconv.Itoa(MaxKeepAliveBytes)+" bytes", "")
	}
	in.KeepAlive = k
	return nil
}

func keepAliveData(value, format string) (data []byte, err error) {
	ok := true
	switch format {
	case "", "raw":
		return []byte(value), nil
	case "cstring":
		data, ok = unescape(value)
	case "base64":
		data, ok = decodeBase64(value)
	default:
		return nil, fault("no such Grip-Keep-Alive format '"+show(format)+"'", "")
	}
	if !ok || len(data) == 0 { // Pushpin takes an empty result for an error as well
		return nil, fault("failed to parse Grip-Keep-Alive "+format+" format", value)
	}
	return data, nil
}

// unescape reads the cstring form: \\, \r, \n and \xHH. Another letter vanishes together with its backslash.
func unescape(s string) ([]byte, bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		if i++; i == len(s) {
			return nil, false
		}
		switch s[i] {
		case '\\':
			b = append(b, '\\')
		case 'r':
			b = append(b, '\r')
		case 'n':
			b = append(b, '\n')
		case 'x':
			digits, err := hex.DecodeString(s[i+1 : min(i+3, len(s))])
			if err != nil || len(digits) != 1 {
				return nil, false
			}
			b = append(b, digits[0])
			i += 2
		}
	}
	return b, true
}

// decodeBase64 takes either alphabet, with or without padding.
func decodeBase64(s string) ([]byte, bool) {
	for _, coding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if b, err := coding.Strict().DecodeString(s); err == nil {
			return b, true
		}
	}
	return nil, false
}
