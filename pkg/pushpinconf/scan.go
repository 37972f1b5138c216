package pushpinconf

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of a file. Pushpin's own has 4 KB.
const (
	maxFileBytes = 1 << 20
	maxProblems  = 100
)

// Problem is one mistake in the file.
type Problem struct {
	Line int // 0: of the file as a whole
	Text string
}

// Errors are the mistakes in a file, in the order in which they were found.
type Errors []Problem

// Error lists them, one in a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = fmt.Sprintf("line %d: %s", p.Line, p.Text)
	}
	return strings.Join(lines, "\n")
}

func (e *Errors) add(line int, format string, args ...any) {
	if len(*e) < maxProblems {
		*e = append(*e, Problem{Line: line, Text: fmt.Sprintf(format, args...)})
	}
}

// entry is one setting as it stands in the file, without its quotes.
type entry struct {
	section, name string
	value         string
	line          int
}

// scan reads the lines of the file.
func scan(text []byte, wrong *Errors) (entries []entry) {
	if len(text) > maxFileBytes {
		wrong.add(0, "the file is larger than %d MiB", maxFileBytes>>20)
		return nil
	}
	section := ""
	rest, more := strings.TrimPrefix(string(text), "\ufeff"), true
	for line := 1; more; line++ {
		var s string
		s, rest, more = strings.Cut(rest, "\n")
		s = strings.Trim(s, " \t\r")
		switch {
		case s == "" || s[0] == '#' || s[0] == ';':
		case !utf8.ValidString(s) || strings.ContainsFunc(s, isControl):
			wrong.add(line, "the line is no text: it has a control character, or is not UTF-8")
		case s[0] == '[':
			section = ""
			if name, closed := strings.CutSuffix(s[1:], "]"); closed {
				section = strings.TrimSpace(name)
			}
			if section == "" {
				wrong.add(line, "want a section as [NAME]")
				section = unknownSection // what follows is not judged
			}
		default:
			e, err := scanSetting(s)
			e.section, e.line = section, line
			switch {
			case err != nil:
				wrong.add(line, "%v", err)
			case section == "":
				wrong.add(line, "%s stands before the first [SECTION]", e.name)
			case section != unknownSection:
				entries = append(entries, e)
			}
		}
	}
	return entries
}

const unknownSection = "\x00"

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
}

func scanSetting(s string) (entry, error) {
	name, value, found := strings.Cut(s, "=")
	e := entry{name: strings.TrimSpace(name)}
	if !found || e.name == "" || strings.ContainsFunc(e.name, notInName) { // a "name" such as sig_key: SECRET is not to be shown
		return entry{}, errors.New("want NAME=VALUE, [SECTION] or a comment")
	}
	var err error
	if e.value, err = unquote(strings.TrimSpace(value)); err != nil {
		return e, fmt.Errorf("%s: %w", e.name, err)
	}
	return e, nil
}

// unquote returns the value of a setting. Versions of Pushpin read a bare backslash or semicolon in different ways, so
// these have to stand in quotes. No error shows the value, which may be a key.
func unquote(s string) (string, error) {
	inner, quoted := strings.CutPrefix(s, `"`)
	if !quoted {
		if strings.ContainsAny(s, `;\"`) {
			return "", errors.New(`put the value in double quotes: it has a ; or \ or "`)
		}
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		switch c := inner[i]; c {
		case '"':
			if after := strings.TrimSpace(inner[i+1:]); after != "" && after[0] != ';' {
				return "", errors.New("there is text after the closing quote")
			}
			return b.String(), nil
		case '\\':
			i++
			if i == len(inner) || inner[i] != '"' && inner[i] != '\\' {
				return "", errors.New(`after a \ in quotes only " or \ may come`)
			}
			b.WriteByte(inner[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", errors.New("the closing quote is missing")
}
