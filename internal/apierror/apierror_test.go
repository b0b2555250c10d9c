package apierror_test

import (
	"errors"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/apierror"
)

// TestEveryCodeHasARow: complete, unambiguous, and with the HTTP status as the first
// three digits, which SDKs compute from the code.
func TestEveryCodeHasARow(t *testing.T) {
	t.Parallel()
	names, codes := map[string]dps.Code{}, map[int]dps.Code{}
	for c := range dps.Code(dps.CodeCount) {
		row := apierror.RowOf(c)
		if row.Status == 0 || row.Name == "" || row.Meaning == "" {
			t.Errorf("code %d has no complete row: %+v", c, row)
		}
		if row.ErrorCode/1000 != row.Status {
			t.Errorf("code %d: error code %d does not begin with its status %d", c, row.ErrorCode, row.Status)
		}
		if other, taken := names[row.Name]; taken {
			t.Errorf("codes %d and %d share the name %s", c, other, row.Name)
		}
		if other, taken := codes[row.ErrorCode]; taken {
			t.Errorf("codes %d and %d share the error code %d", c, other, row.ErrorCode)
		}
		names[row.Name], codes[row.ErrorCode] = c, c
	}
}

func TestInternalErrorsSayNothing(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	row, body := apierror.NewBody(errors.New("select * from keys"), "track", at)
	if row.Status != 500 || body.Message == "" || body.Message == "select * from keys" || body.TrackingID != "track" {
		t.Errorf("row %+v, body %+v", row, body)
	}
	if body.TimestampUTC != "2026-05-04T03:02:01.0000000Z" {
		t.Errorf("timestamp %s", body.TimestampUTC)
	}
}
