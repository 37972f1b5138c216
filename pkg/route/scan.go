package route

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// section is a condition or a target as it stands in a line: a value, which may be empty, and fields after commas.
type section struct {
	column int
	value  string
	fields []field
}

// field is a parameter, NAME or NAME=VALUE, with its quotes taken off.
type field struct {
	column   int
	name     string
	value    string
	hasValue bool
}

// scanner takes a line apart. Its columns count bytes from 1.
type scanner struct {
	line string
	i    int
}

// scan returns the sections of a line, none for a line that is empty or a comment. The Problem lacks its file and line.
func scan(line string) ([]section, *Problem) {
	if rest := strings.TrimLeft(line, " \t"); rest == "" || rest[0] == '#' {
		return nil, nil
	}
	s := scanner{line: line}
	var sections []section
	for {
		for s.peek() == ' ' {
			s.i++
		}
		if s.atEnd() || s.peek() == '#' {
			return sections, nil
		}
		sec, problem := s.section()
		if problem != nil {
			return nil, problem
		}
		sections = append(sections, sec)
	}
}

func (s *scanner) atEnd() bool { return s.i == len(s.line) }

// peek is the next byte, 0 at the end of the line.
func (s *scanner) peek() byte {
	if s.atEnd() {
		return 0
	}
	return s.line[s.i]
}

func (s *scanner) section() (section, *Problem) {
	sec := section{column: s.i + 1}
	for first := true; ; first = false {
		column := s.i + 1
		word, problem := s.word()
		if problem != nil {
			return sec, problem
		}
		name, value, hasValue := strings.Cut(word, "=")
		switch {
		case first && !hasValue: // a first word with a "=" is a parameter already
			sec.value = word
		case word == "":
			return sec, &Problem{Column: column, Text: "no parameter follows the comma"}
		case name == "":
			return sec, &Problem{Column: column, Text: "the parameter has no name before its ="}
		default:
			sec.fields = append(sec.fields, field{column: column, name: name, value: value, hasValue: hasValue})
		}
		if s.peek() != ',' {
			return sec, nil
		}
		s.i++
	}
}

// word reads up to a comma, a space, a comment or the end of the line, none of which count within quotes.
func (s *scanner) word() (string, *Problem) {
	var b strings.Builder
	for {
		start := s.i
		r, problem := s.char()
		switch {
		case problem != nil:
			return "", problem
		case r < 0 || r == ' ' || r == ',' || r == '#':
			s.i = start
			return b.String(), nil
		case r == '\t':
			return "", &Problem{Column: start + 1, Text: "a tab is no separator", Hint: "write spaces, or put it in quotes"}
		case r == '"':
			if problem := s.quoted(&b, start+1); problem != nil {
				return "", problem
			}
		default:
			b.WriteRune(r)
		}
	}
}

// quoted reads the rest of a part in quotes, the first of which is at column.
func (s *scanner) quoted(b *strings.Builder, column int) *Problem {
	for {
		r, problem := s.char()
		if problem != nil {
			return problem
		}
		switch r {
		case -1:
			return &Problem{Column: column, Text: "this quote is not closed"}
		case '"':
			return nil
		case '\\':
			if c := s.peek(); c != '"' && c != '\\' {
				return &Problem{Column: s.i, Text: `within quotes a backslash comes before " or \ only`, Hint: `write \\ for a backslash`}
			}
			b.WriteByte(s.line[s.i])
			s.i++
		default:
			b.WriteRune(r)
		}
	}
}

// char reads a character, or -1 at the end of the line.
func (s *scanner) char() (rune, *Problem) {
	if s.atEnd() {
		return -1, nil
	}
	r, size := utf8.DecodeRuneInString(s.line[s.i:])
	switch {
	case r == utf8.RuneError && size == 1:
		return 0, &Problem{Column: s.i + 1, Text: "this is not UTF-8"}
	case r != '\t' && unicode.IsControl(r):
		return 0, &Problem{Column: s.i + 1, Text: "this is a control character"}
	}
	s.i += size
	return r, nil
}
