package publish

import (
	"errors"
	"fmt"

	jsonpatch "github.com/evanphx/json-patch/v5"
)

// maxPatchCopies bounds the bytes that the copy operations of a patch add: each could double the document.
const maxPatchCopies = 1 << 20

// Patch returns body, a JSON document, with the patch applied (RFC 6902). The error says that body is no JSON, or why the patch
// does not fit it.
func Patch(body []byte, patch string) ([]byte, error) {
	p, err := jsonpatch.DecodePatch([]byte(patch))
	if err != nil {
		return nil, fmt.Errorf("publish: read JSON patch: %w", err)
	}
	options := jsonpatch.NewApplyOptions()
	options.AccumulatedCopySizeLimit = maxPatchCopies
	patched, err := p.ApplyWithOptions(body, options)
	if err == nil && len(patched) == 0 {
		err = errors.New("the document is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("publish: apply JSON patch: %w", err)
	}
	return patched, nil
}
