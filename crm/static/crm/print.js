// Prints the page shown in a frame, which itself may run no script.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-print]");
  if (button) {
    const frame = document.getElementById(button.dataset.print).contentWindow;
    frame.focus();
    frame.print();
  }
});
