/**
 * A device whose clock is slow, so that its tokens are expired when it makes them. To be run under
 * faketime. Its environment is that of {@link RefusedTest}.
 */
public final class ExpiredTest {
  public static void main(String[] args) {
    for (Device d : Device.overEveryTransport(System.getenv("DPS_TROUBLE_SCOPE"))) {
      d.row("refused: expired token", () -> d.refusal(Device.withKey(System.getenv("DPS_TROUBLE_KEY"), "known")));
    }
    System.exit(0); // the client leaves threads behind
  }
}
