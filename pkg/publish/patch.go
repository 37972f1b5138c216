package publish

import jsonpatch "github.com/evanphx/json-patch/v5"

// Patch returns body, a JSON document, with the patch applied (RFC 6902), or nothing when body is no JSON or the patch does not fit
// it.
func Patch(body []byte, patch string) []byte {
	p, err := jsonpatch.DecodePatch([]byte(patch))
	if err != nil {
		return nil
	}
	patched, err := p.Apply(body)
	if err != nil {
		return nil
	}
	return patched
}
