package feed

import (
	"bytes"
	"io"

	"holdfast/pkg/publish"
)

// Items reads one item in its JSON form a line (JSON Lines). Lines of nothing but white space are
// left out. A byte order mark at the beginning of a line is skipped: files that were joined have
// several.
type Items struct{ lines *Lines }

// NewItems returns a reader of r's items, of at most max bytes of JSON each.
func NewItems(r io.Reader, max int) *Items { return &Items{NewLines(r, max)} }

// Next returns the next item and the number of its line. A line that holds no item that passes publish.Item.Check is a
// *LineError, after which Next goes on with the following line. Any other error is the reader's, io.EOF at its end. The
// item shares no memory with the reader.
func (i *Items) Next() (it publish.Item, number int, err error) {
	for {
		line, number, err := i.lines.Next()
		if err != nil {
			return it, number, err
		}
		if len(bytes.TrimSpace(publish.TrimMark(line))) == 0 {
			continue
		}
		it, err = publish.ParseItem(line)
		if err != nil {
			err = &LineError{number, err}
		}
		return it, number, err
	}
}
