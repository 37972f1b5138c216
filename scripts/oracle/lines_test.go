package oracle

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

var (
	date  = regexp.MustCompile(`^date: .*`)
	token = regexp.MustCompile(`^grip-sig: [\w-]+\.[\w-]+\.[\w-]+$`)
	local = regexp.MustCompile(`127\.0\.0\.1:\d+`)
)

// field is a header field as it is compared: names in lower case, dates, tokens and ports as words.
func field(name, value string) string {
	line := strings.ToLower(name) + ": " + value
	line = date.ReplaceAllString(line, "date: DATE")
	line = token.ReplaceAllString(line, "grip-sig: TOKEN")
	return local.ReplaceAllString(line, "ADDRESS")
}

// outcome is everything that is compared of one case at one proxy, as lines.
func outcome(requests []string, got []byte, closed bool, seen [][]string) []string {
	lines := answers(requests, got)
	if closed {
		lines = append(lines, "client: closed")
	} else {
		lines = append(lines, "client: open")
	}
	for i, request := range seen {
		for _, line := range request {
			lines = append(lines, fmt.Sprintf("backend %d: %s", i+1, line))
		}
	}
	return lines
}

// answers reads the answers to requests with the methods. Chunks are joined; how they end is kept.
func answers(methods []string, got []byte) (lines []string) {
	r := bufio.NewReader(bytes.NewReader(got))
	for n := 1; ; n++ {
		if _, err := r.Peek(1); err != nil {
			return lines
		}
		add := func(line string) { lines = append(lines, fmt.Sprintf("answer %d: %s", n, line)) }
		head := true
		for head {
			line, err := r.ReadString('\n')
			line = strings.TrimSuffix(line, "\r\n")
			if err != nil {
				add(fmt.Sprintf("no end of head %q", line))
				return lines
			}
			head = line != ""
			if head && strings.HasPrefix(line, "HTTP/") {
				add(line)
			} else if name, value, ok := strings.Cut(line, ": "); ok {
				add(field(name, value))
			} else if head {
				add(fmt.Sprintf("no field %q", line))
			}
		}
		first := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, fmt.Sprintf("answer %d: ", n)) })
		slices.Sort(lines[first+1:])
		if lines[first] == fmt.Sprintf("answer %d: HTTP/1.1 100 Continue", n) {
			continue
		}
		method := http.MethodGet
		if len(methods) > 0 {
			method, methods = methods[0], methods[1:]
		}
		for _, line := range body(r, method, lines[first:]) {
			add(line)
		}
	}
}

// body reads the body of an answer with the head.
func body(r *bufio.Reader, method string, head []string) []string {
	var status int
	_, line, _ := strings.Cut(head[0], "HTTP/1.")
	fmt.Sscanf(line[min(2, len(line)):], "%d", &status)
	value := func(name string) (string, bool) {
		for _, l := range head {
			if _, v, ok := strings.Cut(l, ": "+name+": "); ok {
				return v, true
			}
		}
		return "", false
	}
	if method == http.MethodHead || status == 204 || status == 304 {
		return nil
	}
	if coding, _ := value("transfer-encoding"); coding == "chunked" {
		return chunked(r)
	}
	if length, ok := value("content-length"); ok {
		var n int
		fmt.Sscan(length, &n)
		b := make([]byte, n)
		k, err := io.ReadFull(r, b)
		if err != nil {
			return []string{fmt.Sprintf("%d bytes of %d: %q", k, n, clip(b[:k]))}
		}
		return []string{fmt.Sprintf("body %q", clip(b))}
	}
	b, _ := io.ReadAll(r)
	return []string{fmt.Sprintf("body to the end %q", clip(b))}
}

// chunked joins chunks by hand, because a body that has no end yet is no error here.
func chunked(r *bufio.Reader) []string {
	var all []byte
	for {
		line, err := r.ReadString('\n')
		var n int
		if _, bad := fmt.Sscanf(line, "%x\r\n", &n); err != nil || bad != nil {
			return []string{fmt.Sprintf("body %q", clip(all)), fmt.Sprintf("no last chunk %q", line)}
		}
		chunk := make([]byte, n)
		k, _ := io.ReadFull(r, chunk)
		all = append(all, chunk[:k]...)
		if end, _ := r.ReadString('\n'); end != "\r\n" {
			return []string{fmt.Sprintf("body %q", clip(all)), fmt.Sprintf("a chunk ends in %q", end)}
		}
		if n == 0 {
			return []string{fmt.Sprintf("body %q", clip(all)), "last chunk"}
		}
	}
}

// clip bounds what is printed of a long body, but not what is compared.
func clip(b []byte) string {
	const most = 300
	if len(b) <= most {
		return local.ReplaceAllString(string(b), "ADDRESS")
	}
	sum := 0
	for i, c := range b {
		sum = (sum*31 + int(c) + i) & 0xffffff
	}
	return fmt.Sprintf("%s... (%d bytes, sum %x)", b[:most], len(b), sum)
}

// differences are the lines that only one has: "- " those of want, "+ " those of got.
func differences(want, got []string) (diff []string) {
	rest := slices.Clone(got)
	for _, line := range want {
		if i := slices.Index(rest, line); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		} else {
			diff = append(diff, "- "+line)
		}
	}
	for _, line := range rest {
		diff = append(diff, "+ "+line)
	}
	return diff
}
