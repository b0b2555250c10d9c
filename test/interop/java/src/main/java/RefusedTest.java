import java.net.HttpURLConnection;
import java.net.URI;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

/**
 * What the public Java device client shows when a device is refused or must wait. The runner's
 * document says what is expected; here it is printed.
 *
 * <p>DPS_TROUBLE_SCOPE, DPS_TROUBLE_KEY: an ID scope with the enrollments "known" and "disabled" and
 * the group "waiting", all of this key; DPS_TROUBLE_HUB: where the moods of its hub are set; and
 * what {@link Device} needs.
 */
public final class RefusedTest {
  private static final String KEY = System.getenv("DPS_TROUBLE_KEY");
  private static final String WRONG = Base64.getEncoder().encodeToString(new byte[32]);
  private static volatile boolean recovered;

  public static void main(String[] args) throws Exception {
    List<Device> devices = Device.overEveryTransport(System.getenv("DPS_TROUBLE_SCOPE"));
    for (Device d : devices) {
      String cert = "ind-" + d.name;
      d.row("refused: unknown device", () -> d.refusal(Device.withKey(WRONG, "nobody")));
      d.row("refused: bad signature", () -> d.refusal(Device.withKey(WRONG, "known")));
      d.row("refused: disabled", () -> d.refusal(Device.withKey(KEY, "disabled")));
      d.row("refused: certificate not enrolled", () -> d.refusal(Device.withCertificate(cert + ".pem", cert + ".key")));
    }
    waitFor(devices, "hub down for 3 s", "down");
    waitFor(devices, "hub throttles for 3 s", "throttling");
    System.exit(0); // the client leaves threads behind
  }

  /** Has all transports wait for the same hub at once. */
  private static void waitFor(List<Device> devices, String what, String mood) throws Exception {
    hub(mood);
    recovered = false;
    List<Thread> waiting = new ArrayList<>();
    for (Device d : devices) {
      Thread t = new Thread(() -> d.row(what, () -> waits(d, d.name + "-" + mood)));
      t.start();
      waiting.add(t);
    }
    Thread.sleep(3000);
    recovered = true;
    hub("up");
    for (Thread t : waiting) {
      t.join();
    }
  }

  private static String waits(Device d, String id) throws Exception {
    d.assigned(id, Device.withDerivedKey(KEY, id));
    Device.check(recovered, "assigned before the hub was back");
    return "polls until assigned";
  }

  private static void hub(String mood) throws Exception {
    URI control = URI.create(System.getenv("DPS_TROUBLE_HUB") + "/" + mood);
    HttpURLConnection c = (HttpURLConnection) control.toURL().openConnection();
    c.setRequestMethod("POST");
    Device.check(c.getResponseCode() == 200, "the hub stays as it is");
  }
}
