package hubemulator

import (
	"net/http"

	"github.com/zerotouch-dps/dps"
)

const maxItems = 100 // of a bulk call

// bulkItem is one device of a bulk call.
type bulkItem struct {
	ID         string `json:"id"`
	ModuleID   string `json:"moduleId"`
	ETag       string `json:"eTag"` // npm writes etag; encoding/json takes both
	TwinETag   string `json:"twinETag"`
	ImportMode string `json:"importMode"`
	identityInput
	twinInput
}

type bulkResult struct {
	IsSuccessful bool        `json:"isSuccessful"`
	Errors       []itemError `json:"errors"`
	Warnings     []struct{}  `json:"warnings"`
}

type itemError struct {
	DeviceID    string `json:"deviceId"`
	ErrorCode   int    `json:"errorCode"`
	ErrorStatus string `json:"errorStatus"`
}

// bulk runs the items in order in one commit. What fails for an item stands in the
// result, with status 200: .NET's client never reads a result out of a 400.
func (h *Hub) bulk(_ http.ResponseWriter, r *http.Request) (any, error) {
	var items []bulkItem
	if err := readBody(r, maxBulkBody, &items); err != nil {
		return nil, err
	}
	if len(items) == 0 || len(items) > maxItems {
		return nil, badArgument("a bulk call takes 1 to 100 items")
	}
	result := bulkResult{IsSuccessful: true, Errors: []itemError{}, Warnings: []struct{}{}}
	err := h.store.do(r.Context(), func(t *tx) error {
		seen := make(map[string]bool, len(items))
		for _, item := range items {
			err := h.bulkItem(t, item, seen[item.ID])
			seen[item.ID] = true
			if err := result.add(item.ID, err); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// add notes an item's refusal and returns any other error.
func (b *bulkResult) add(id string, err error) error {
	refused, ok := err.(*refusal) //nolint:errorlint // refusals are never wrapped
	if !ok {
		return err
	}
	b.IsSuccessful = false
	b.Errors = append(b.Errors, itemError{id, refused.code, refused.name + ";" + refused.text})
	return nil
}

func (h *Hub) bulkItem(t *tx, item bulkItem, again bool) error {
	if again {
		return refuse(400011, "DeviceDefinedMultipleTimes", "device %s stands in the call more than once", item.ID)
	}
	if item.ModuleID != "" {
		return notBuilt("modules")
	}
	mode, ifMatch := dps.FoldASCII(item.ImportMode), item.ETag
	switch mode {
	case "create":
		return h.bulkCreate(t, item)
	case "update", "updateifmatchetag":
		return h.bulkUpdate(t, item, matchOf(mode == "update", ifMatch))
	case "", "createorupdate", "createorupdateifmatchetag":
		return h.bulkCreateOrUpdate(t, item, matchOf(mode != "createorupdateifmatchetag", ifMatch))
	case "delete", "deleteifmatchetag":
		return h.remove(t, item.ID, matchOf(mode == "delete", ifMatch))
	case "updatetwin", "updatetwinifmatchetag":
		return h.bulkTwin(t, item, matchOf(mode == "updatetwin", item.TwinETag))
	}
	return badArgument("importMode %q is unknown", item.ImportMode)
}

// matchOf returns the If-Match of a mode: a star when it has none, else the etag,
// of which an empty one matches nothing.
func matchOf(always bool, etag string) string {
	if always {
		return "*"
	}
	return etag
}

func (h *Hub) bulkCreate(t *tx, item bulkItem) error {
	made, err := h.newRecord(item.ID, item.identityInput)
	if err != nil {
		return err
	}
	if item.Tags != nil || item.desired() != nil {
		if err := made.Twin.replace(item.twinInput, h.config.Now()); err != nil {
			return err
		}
	}
	return h.insert(t, made)
}

func (h *Hub) bulkUpdate(t *tx, item bulkItem, ifMatch string) error {
	old, err := current(t, item.ID, ifMatch)
	if err != nil {
		return err
	}
	if err := h.write(&old, item.identityInput); err != nil {
		return err
	}
	return h.update(t, old)
}

func (h *Hub) bulkCreateOrUpdate(t *tx, item bulkItem, ifMatch string) error {
	_, exists, err := t.get(item.ID)
	if err != nil {
		return err
	}
	if !exists {
		return h.bulkCreate(t, item)
	}
	return h.bulkUpdate(t, item, ifMatch)
}

func (h *Hub) bulkTwin(t *tx, item bulkItem, ifMatch string) error {
	old, err := current(t, item.ID, "*")
	if err != nil {
		return err
	}
	if !dps.ETag(old.Twin.etag()).Matches(ifMatch) {
		return preconditionFailed(item.ID)
	}
	if err := old.Twin.patch(item.twinInput, h.config.Now()); err != nil {
		return err
	}
	return h.update(t, old)
}
