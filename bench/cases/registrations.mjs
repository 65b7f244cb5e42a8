import { driven } from "../lib/measure.mjs";

/** Connect, upgrade, register with a token, be acknowledged. */
export function registrationCases({ quick }) {
  return [
    {
      id: "registrations/64 at a time",
      figures: [
        { key: "per_second", title: "registrations/s" },
        { key: "p99_us", title: "p99 us" },
      ],
      run: driven("registrations", { workers: quick ? 3000 : 8000, parallel: 64 }),
    },
  ];
}
