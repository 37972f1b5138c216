package control

import (
	"mime"
	"strconv"
	"strings"
)

// acceptsJSON chooses between text/plain and application/json by the request's Accept fields (RFC 9110 section 12.5.1):
// the one with the higher weight; of two equal ones that which is named more exactly; and then text, which is also the
// choice without the field. ok is false when neither is acceptable.
func acceptsJSON(fields []string) (asJSON, ok bool) {
	if len(fields) == 0 {
		return false, true
	}
	var text, json preference
	for _, field := range fields {
		for mediaRange := range strings.SplitSeq(field, ",") {
			mediaType, params, err := mime.ParseMediaType(mediaRange)
			if err != nil {
				continue
			}
			weight := 1.0
			if q, err := strconv.ParseFloat(params["q"], 64); err == nil {
				weight = q
			}
			text.consider(mediaType, "text/plain", weight)
			json.consider(mediaType, "application/json", weight)
		}
	}
	if text.weight <= 0 && json.weight <= 0 {
		return false, false
	}
	if json.weight != text.weight {
		return json.weight > text.weight, true
	}
	return json.exactness > text.exactness, true
}

// preference is how much a media type is wanted. The most exact range that covers it decides.
type preference struct {
	weight    float64
	exactness int // of that range: 1 for */*, 2 for type/*, 3 for the type itself; 0 when none covers it
}

func (p *preference) consider(mediaRange, mediaType string, weight float64) {
	exactness := 0
	major, _, _ := strings.Cut(mediaType, "/")
	switch mediaRange {
	case mediaType:
		exactness = 3
	case major + "/*":
		exactness = 2
	case "*/*", "*":
		exactness = 1
	}
	if exactness > p.exactness {
		*p = preference{weight, exactness}
	}
}
