// What makes the sign-in forms nicer where scripts run; all of them work without it.
"use strict";
{
  const words = document.body.dataset;
  const eye = "<svg viewBox='0 0 24 24' aria-hidden='true'><path d='M2 12s3.6-7 10-7 10 7 10 7-3.6 7-10 7S2 12 2 12z'/><circle cx='12' cy='12' r='3'/><path class='slash' d='M4 4l16 16'/></svg>";

  /** What is wrong with what was typed, in words; "" when nothing is. */
  const wrongOf = (input) => {
    const state = input.validity;
    if (state.valueMissing) return words.empty;
    if (state.typeMismatch) return words.email;
    if (state.tooShort || (input.minLength > 0 && input.value && input.value.length < input.minLength)) return words.short;
    return "";
  };

  const tell = (input) => {
    const wrong = wrongOf(input);
    document.getElementById(`${input.id}-wrong`).textContent = wrong;
    if (wrong) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    return !wrong;
  };

  const addReveal = (input) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "reveal";
    button.innerHTML = eye;
    button.setAttribute("aria-controls", input.id);
    const show = (isShown) => {
      input.type = isShown ? "text" : "password";
      button.setAttribute("aria-pressed", String(isShown));
      button.setAttribute("aria-label", words.show);
      button.title = isShown ? words.hide : words.show;
    };
    show(false);
    button.addEventListener("click", () => show(input.type === "password"));
    input.form.addEventListener("submit", () => show(false));
    input.parentElement.classList.add("has-reveal");
    input.after(button);
  };

  for (const form of document.forms) {
    const inputs = [...form.querySelectorAll(".field input")];
    const button = form.querySelector("button[type=submit]");
    let isSent = false;
    form.noValidate = true;
    for (const input of inputs) {
      let wasLeft = input.hasAttribute("aria-invalid");
      if (input.type === "password") addReveal(input);
      input.addEventListener("blur", () => {
        if (input.value || wasLeft) {
          wasLeft = true;
          tell(input);
        }
      });
      input.addEventListener("input", () => wasLeft && tell(input));
    }
    form.addEventListener("submit", (event) => {
      const wrong = inputs.filter((input) => !tell(input));
      if (isSent || wrong.length) event.preventDefault();
      if (wrong.length) wrong[0].focus();
      if (isSent || wrong.length) return;
      isSent = true;
      button.setAttribute("aria-disabled", "true");
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(button);
    });
    // Back from where the form led to: it can be sent again.
    addEventListener("pageshow", () => {
      isSent = false;
      button.removeAttribute("aria-disabled");
    });
  }

  for (const time of document.querySelectorAll("time"))
    time.textContent = new Date(time.dateTime).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}
