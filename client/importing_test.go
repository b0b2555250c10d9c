package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

func lotOf(n int) string {
	var rows strings.Builder
	for i := range n {
		fmt.Fprintf(&rows, `{"registrationId":"sn-%05d","attestation":{"type":"symmetricKey"}}`+"\n", i)
	}
	return rows.String()
}

func TestImportAndExport(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	a, ctx := operator(t, w), t.Context()
	rejected := 0
	got, err := a.ImportEnrollments(ctx, "0neWORLD", strings.NewReader(lotOf(1500)+"{}\n"), client.ImportOptions{
		Lot:      "47",
		Rejected: func(r admin.ImportRejection) error { rejected++; return nil },
	})
	if err != nil || got.Created != 1500 || got.Rejected != 1 || rejected != 1 || got.Row != 1501 {
		t.Fatalf("%+v, %v", got, err)
	}
	var out bytes.Buffer
	if err := a.ExportEnrollments(ctx, "0neWORLD", &out, client.ExportOptions{CSV: true, Lot: "47"}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 1501 {
		t.Errorf("%d lines exported", n)
	}
	stop := errors.New("enough")
	_, err = a.ImportEnrollments(ctx, "0neWORLD", strings.NewReader("{}\n"), client.ImportOptions{
		Rejected: func(admin.ImportRejection) error { return stop },
	})
	if !errors.Is(err, stop) {
		t.Errorf("stopped with %v", err)
	}
	var refused *client.Error
	if _, err := a.ImportEnrollments(ctx, "0neNO", strings.NewReader(lotOf(5)), client.ImportOptions{}); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("unknown scope: %v", err)
	}
	if err := a.ExportEnrollments(ctx, "0neNO", io.Discard, client.ExportOptions{}); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("unknown scope: %v", err)
	}
}

// A connection that breaks again and again in the middle of an upload costs no row.
func TestImportFileGoesOnAfterCuts(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"", "\xef\xbb\xbfregistrationId,lot\n"} {
		t.Run(fmt.Sprintf("CSV %t", header != ""), func(t *testing.T) {
			t.Parallel()
			w := managementtest.Start(t)
			var cuts atomic.Int64
			s := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if cuts.Add(1) <= 3 {
					r.Body = &cutBody{ReadCloser: r.Body, left: 150 << 10}
				}
				w.Admin.ServeHTTP(rw, r)
			}))
			t.Cleanup(s.Close)
			a := &client.Admin{URL: s.URL, Token: w.AdminToken, HTTP: s.Client()}
			file := lotOf(10000)
			if header != "" {
				var rows strings.Builder
				rows.WriteString(header)
				for i := range 40000 {
					fmt.Fprintf(&rows, "sn-%05d,47\n", i)
				}
				file = rows.String()
			}
			open := func(offset int64) (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader(file[offset:])), nil
			}
			retried := 0
			got, err := a.ImportFile(t.Context(), "0neWORLD", open, client.ImportOptions{CSV: header != "", Retry: func(error) { retried++ }})
			if err != nil || got.Offset != int64(len(file)) || retried != 3 || got.Rejected != 0 {
				t.Fatalf("%+v after %d retries, %v", got, retried, err)
			}
			var out bytes.Buffer
			if err := a.ExportEnrollments(t.Context(), "0neWORLD", &out, client.ExportOptions{}); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(out.String(), "\n"); int64(n) != got.Row || int64(n) != got.Created+got.Unchanged {
				t.Errorf("%d rows are there of %d", n, got.Row)
			}
		})
	}
}

// cutBody breaks off after some bytes.
type cutBody struct {
	io.ReadCloser
	left int
}

// Read implements [io.Reader].
func (c *cutBody) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.ReadCloser.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// A file that can't be read to its end is no connection that broke.
func TestImportFileTellsOfAnUnreadableFile(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	torn := errors.New("bad sector")
	open := func(int64) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(lotOf(10)), iotest.ErrReader(torn))), nil
	}
	_, err := operator(t, w).ImportFile(t.Context(), "0neWORLD", open, client.ImportOptions{
		Retry: func(err error) { t.Errorf("tried again after %v", err) },
	})
	if err == nil || !strings.Contains(err.Error(), "read file: bad sector") {
		t.Errorf("ended with %v", err)
	}
}
