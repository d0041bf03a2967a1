// The list of keyboard shortcuts, in the browser's own modal dialog.
import { useEffect, useRef } from "react";
import { t } from "./strings";

export function Shortcuts({ open, onClose }: { open: boolean; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog ref={dialog} className="shortcuts" aria-labelledby="shortcuts"
      onCancel={onClose} // Escape says so at once; the close event comes later, perhaps when it is open again
      onClose={() => dialog.current?.open || onClose()}
      onClick={(event) => event.target === dialog.current && onClose()}>
      <div>
        <h2 id="shortcuts">{t.shortcuts}</h2>
        <dl>
          {t.keys.map(([keys, what]) => (
            <div key={keys}>
              <dt>{keys.split(" ").map((one) => <kbd key={one}>{one}</kbd>)}</dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <button type="button" onClick={onClose}>{t.close}</button>
      </div>
    </dialog>
  );
}
